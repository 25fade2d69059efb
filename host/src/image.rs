//! A script's image: the guest's memory as it is once the script is parsed.

mod cache;

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use picloud_shared::{CompileError, Limits, Outcome, Program, ScriptInfo};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wasmtime::component::{Component, Linker, WasmList};
use wasmtime::{Engine, Module};

pub(crate) use cache::ImageCache;

use crate::component::{IMAGE_IMPORT, MEMORY_EXPORT, Memory, encode_bytes};
use crate::invocation::{self, State};
use crate::outcome;
use crate::wit::bindings::{Script, ScriptPre};

/// A program ready to run.
pub(crate) struct Image {
    pub(crate) script: ScriptPre<State>,
    pub(crate) info: ScriptInfo,
    /// What of its memory is not zero, and thus held.
    pub(crate) bytes: u64,
}

/// Largest image, in bytes that are not zero. A typical one has half a megabyte.
const MAX_IMAGE_BYTES: usize = 8 << 20;

/// Builds images: holds the code component and what is linked to all of them.
pub(crate) struct ImageBuilder {
    parts: Arc<Parts>,
    base: ScriptPre<State>,
    limits: Limits,
    deadline: Duration,
}

/// What an image is linked from.
struct Parts {
    engine: Engine,
    linker: Linker<State>,
    code: Component,
}

impl ImageBuilder {
    /// `limits` and `deadline` bound the parsing of one program.
    pub(crate) fn new(
        engine: Engine,
        linker: Linker<State>,
        code: Component,
        base: &Memory,
        limits: Limits,
        deadline: Duration,
    ) -> wasmtime::Result<Self> {
        let parts = Arc::new(Parts { engine, linker, code });
        let base = parts.pre_instantiate(&base.encode())?;
        Ok(Self { parts, base, limits, deadline })
    }

    /// The guest before it has compiled anything.
    pub(crate) fn base(&self) -> &ScriptPre<State> {
        &self.base
    }

    /// Compiles a program inside the sandbox, under fuel, memory and time
    /// limits like any other run of hostile input, and keeps the memory.
    pub(crate) async fn build(&self, program: &Program) -> Result<Image, CompileError> {
        // A program has no business with services before its first event; the
        // guest refuses, and what the host lends it here leads nowhere.
        let services = crate::testing::services();
        let mut store = invocation::store(&self.parts.engine, services, &self.limits, false)
            .map_err(|error| host_fault(&error))?;

        let compiled = tokio::time::timeout(self.deadline, async {
            let instance = self.base.instance_pre().instantiate_async(&mut store).await?;
            let script = Script::new(&mut store, &instance)?;
            let info = match script.call_compile(&mut store, &program.into()).await? {
                Ok(info) => info,
                Err(errors) => return Ok(Err(errors)),
            };
            let read = instance.get_typed_func::<(), (WasmList<u8>,)>(&mut store, MEMORY_EXPORT)?;
            let (memory,) = read.call_async(&mut store, ()).await?;
            let memory = memory.as_le_slice(&store).to_vec();
            Ok::<_, wasmtime::Error>(Ok((info, memory)))
        })
        .await;

        let (info, memory) = match compiled {
            Err(_elapsed) => return Err(CompileError::TooLarge("time")),
            Ok(Err(error)) => {
                let refused = invocation::memory_was_refused(&store);
                return Err(compile_error(outcome::of_error(&error, refused)));
            }
            Ok(Ok(Err(errors))) => {
                return Err(CompileError::Script(errors.into_iter().map(Into::into).collect()));
            }
            Ok(Ok(Ok(built))) => built,
        };
        drop(store);
        // Scanning and copying megabytes is not for a thread of the runtime.
        let parts = Arc::clone(&self.parts);
        let (script, bytes) = tokio::task::spawn_blocking(move || parts.link(&memory))
            .await
            .map_err(|error| CompileError::HostFault(error.to_string()))??;
        Ok(Image { script, info: info.into(), bytes })
    }
}

impl Parts {
    /// A memory as the image of a script, and the bytes that the image holds.
    fn link(&self, memory: &[u8]) -> Result<(ScriptPre<State>, u64), CompileError> {
        let module = encode_bytes(memory);
        if module.len() > MAX_IMAGE_BYTES {
            return Err(CompileError::TooLarge("memory"));
        }
        let script = self.pre_instantiate(&module).map_err(|error| host_fault(&error))?;
        Ok((script, module.len() as u64))
    }

    /// Links an image module under the code component. There is no code in it
    /// to compile, so this takes a millisecond or two.
    fn pre_instantiate(&self, image: &[u8]) -> wasmtime::Result<ScriptPre<State>> {
        let image = self.module(image)?;
        image.initialize_copy_on_write_image()?;
        let mut linker = self.linker.clone();
        linker.root().module(IMAGE_IMPORT, &image)?;
        ScriptPre::new(linker.instantiate_pre(&self.code)?)
    }

    /// The module, compiled into a file in memory from which instances map
    /// their pages. `Module::from_binary` would hold the data twice: in the
    /// module, and in a file that is copied from it.
    fn module(&self, image: &[u8]) -> wasmtime::Result<Module> {
        let file = sealed(&self.engine.precompile_module(image)?)?;
        #[expect(unsafe_code, reason = "the file is what wasmtime just made, and sealed")]
        // SAFETY: the file's bytes are what `Engine::precompile_module` of this
        // engine returned, and its seals keep it from ever being changed.
        unsafe {
            Module::deserialize_open_file(&self.engine, file)
        }
    }
}

/// A file in memory that has these bytes and can no longer be changed.
fn sealed(bytes: &[u8]) -> std::io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("picloud-image", flags)?);
    file.write_all(bytes)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}

fn compile_error(outcome: Outcome) -> CompileError {
    match outcome {
        Outcome::OutOfFuel => CompileError::TooLarge("fuel"),
        Outcome::OutOfMemory | Outcome::BudgetExceeded(_) => CompileError::TooLarge("memory"),
        Outcome::ScriptError(error) => CompileError::Script(vec![error]),
        other => CompileError::HostFault(format!("{other:?}")),
    }
}

fn host_fault(error: &wasmtime::Error) -> CompileError {
    CompileError::HostFault(format!("{error:#}"))
}
