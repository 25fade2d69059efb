//! The split: a guest component comes in, two parts go out.
//!
//! - The **code component** is the guest with one change: its linear memory is
//!   no longer defined inside but taken from an imported core module named
//!   `image`, and the data segments are gone. It is compiled once.
//! - The **base memory** is what those data segments would have filled.
//!
//! A module that holds nothing but a memory compiles in milliseconds, so every
//! script can have one of its own: the memory as it is once the script has been
//! parsed. The technique is that of snapshotting pre-initializers (wizer), with
//! the snapshot kept apart from the code.
//!
//! The code component also gets one more export, [`MEMORY_EXPORT`], which hands
//! the host the whole memory as a `list<u8>`. The canonical ABI wants the list's
//! pointer and length in that same memory; they are written to a page grown for
//! the purpose, so the snapshot is not disturbed.

mod main_module;
mod memory;

use wasm_encoder::reencode::{Reencode, ReencodeComponent, utils::parse_core_module};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, Component, ComponentAliasSection,
    ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentTypeRef,
    ComponentTypeSection, CoreTypeSection, EntityType, ExportKind, InstanceSection, MemoryType,
    Module, ModuleArg, ModuleSection, ModuleType, PrimitiveValType,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentTypeRef as TypeRef,
    ExternalKind, Instance, Parser, Payload,
};

use main_module::MainModule;
pub(crate) use memory::{Memory, encode_bytes};

/// The core module import through which an image enters.
pub(crate) const IMAGE_IMPORT: &str = "image";
/// The export that returns the whole linear memory.
pub(crate) const MEMORY_EXPORT: &str = "memory-image";
/// What a guest may import. Anything else is refused before it is compiled.
pub(crate) const IMPORTS: &[&str] = &[
    "picloud:sdk/app@0.1.0",
    "picloud:sdk/config@0.1.0",
    "picloud:sdk/crypto@0.1.0",
    "picloud:sdk/events@0.1.0",
    "picloud:sdk/files@0.1.0",
    "picloud:sdk/http@0.1.0",
    "picloud:sdk/kv@0.1.0",
    "picloud:sdk/log@0.1.0",
    "picloud:sdk/queue@0.1.0",
    "picloud:sdk/secrets@0.1.0",
    "picloud:sdk/test@0.1.0",
    "picloud:sdk/types@0.1.0",
];

/// Why a component cannot be split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    #[error("the guest is not a valid component: {0}")]
    Invalid(#[from] wasmparser::BinaryReaderError),
    #[error("the guest cannot be rewritten: {0}")]
    Rewrite(String),
    /// The guest asks for an authority that no guest gets.
    #[error("the guest imports `{0}`, which no guest may")]
    ForbiddenImport(String),
    #[error("the guest cannot be snapshotted: {0}")]
    Unsupported(&'static str),
}

/// A guest in its two parts.
pub(crate) struct Split {
    pub(crate) code: Vec<u8>,
    pub(crate) base: Memory,
}

/// Splits a guest component. Takes about a millisecond.
pub(crate) fn split(guest: &[u8]) -> Result<Split, SplitError> {
    let survey = Survey::of(guest)?;
    let mut splitter = Splitter { survey: &survey, modules_seen: 0, main: None };

    let mut component = Component::new();
    import_image(&mut component, survey.memory);
    splitter
        .parse_component(&mut component, Parser::new(0), guest)
        .map_err(|error| SplitError::Rewrite(error.to_string()))?;
    let main = splitter.main.ok_or(SplitError::Unsupported("no module has a memory"))?;
    main.check()?;
    export_memory(&mut component, &survey);

    let base = Memory { pages: survey.memory.minimum, segments: main.segments };
    Ok(Split { code: component.finish(), base })
}

/// `(import "image" (core module (export "memory" (memory MIN))))`, instantiated
/// as the component's first core instance.
fn import_image(component: &mut Component, memory: MemoryType) {
    let mut module = ModuleType::new();
    module.export("memory", EntityType::Memory(memory));
    let mut types = CoreTypeSection::new();
    types.ty().module(&module);
    component.section(&types);

    let mut imports = ComponentImportSection::new();
    imports.import(IMAGE_IMPORT, ComponentTypeRef::Module(0));
    component.section(&imports);

    let mut instances = InstanceSection::new();
    instances.instantiate::<_, &str>(0, []);
    component.section(&instances);
}

/// `(export "memory-image" (func (result (list u8))))`, lifted from the accessor
/// that [`MainModule`] has added to the main module.
fn export_memory(component: &mut Component, survey: &Survey) {
    let mut types = ComponentTypeSection::new();
    types.defined_type().list(PrimitiveValType::U8);
    types
        .function()
        .params::<[(&str, PrimitiveValType); 0], _>([])
        .result(Some(wasm_encoder::ComponentValType::Type(survey.types)));
    component.section(&types);

    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport {
        instance: survey.main_instance + 1,
        kind: ExportKind::Func,
        name: main_module::ACCESSOR,
    });
    aliases.alias(Alias::CoreInstanceExport {
        instance: 0,
        kind: ExportKind::Memory,
        name: "memory",
    });
    component.section(&aliases);

    let mut canonical = CanonicalFunctionSection::new();
    canonical.lift(
        survey.core_funcs,
        survey.types + 1,
        [CanonicalOption::Memory(survey.core_memories)],
    );
    component.section(&canonical);

    let mut exports = ComponentExportSection::new();
    exports.export(MEMORY_EXPORT, ComponentExportKind::Func, survey.funcs, None);
    component.section(&exports);
}

/// What must be known of the component before it is rewritten: which module is
/// the main one, and how long each index space is, for what is added goes to
/// the end.
struct Survey {
    /// Index of the module that defines the memory.
    main_module: u32,
    /// Index of its only instance.
    main_instance: u32,
    memory: MemoryType,
    types: u32,
    funcs: u32,
    core_funcs: u32,
    core_memories: u32,
}

impl Survey {
    fn of(guest: &[u8]) -> Result<Self, SplitError> {
        let mut survey = Self {
            main_module: u32::MAX,
            main_instance: u32::MAX,
            memory: MemoryType {
                minimum: 0,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            },
            types: 0,
            funcs: 0,
            core_funcs: 0,
            core_memories: 0,
        };
        let (mut modules, mut instances) = (0, 0);
        // `parse_all` descends into modules; what is inside them is theirs.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(guest) {
            let payload = payload?;
            match payload {
                Payload::ModuleSection { .. } => {
                    depth += 1;
                    modules += 1;
                }
                Payload::ComponentSection { .. } => {
                    return Err(SplitError::Unsupported("it has components within"));
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        survey.set_memory(modules - 1, &memory?)?;
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        survey.see_instance(&instance?, instances)?;
                        instances += 1;
                    }
                }
                Payload::CoreTypeSection(_) if depth == 0 => {
                    return Err(SplitError::Unsupported("it has core types of its own"));
                }
                other => survey.count(&other)?,
            }
        }
        if survey.main_instance == u32::MAX {
            return Err(SplitError::Unsupported("no instance has a memory"));
        }
        Ok(survey)
    }

    fn set_memory(
        &mut self,
        module: u32,
        memory: &wasmparser::MemoryType,
    ) -> Result<(), SplitError> {
        if self.main_module != u32::MAX {
            return Err(SplitError::Unsupported("it has more than one memory"));
        }
        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
            return Err(SplitError::Unsupported("its memory is not a plain 32-bit one"));
        }
        self.main_module = module;
        // A maximum would have to be matched by every image; the host's limiter
        // is what bounds growth.
        self.memory.minimum = memory.initial;
        Ok(())
    }

    fn see_instance(&mut self, instance: &Instance<'_>, index: u32) -> Result<(), SplitError> {
        if let Instance::Instantiate { module_index, .. } = instance
            && *module_index == self.main_module
        {
            if self.main_instance != u32::MAX {
                return Err(SplitError::Unsupported("its main module is instantiated twice"));
            }
            self.main_instance = index;
        }
        Ok(())
    }

    /// Counts what a section adds to the index spaces that matter here.
    fn count(&mut self, payload: &Payload<'_>) -> Result<(), SplitError> {
        match payload {
            Payload::ComponentTypeSection(section) => self.types += section.count(),
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let import = import?;
                    match import.ty {
                        // A type gives no authority.
                        TypeRef::Type(_) => self.types += 1,
                        TypeRef::Instance(_) if IMPORTS.contains(&import.name.name) => {}
                        _ => {
                            let name = import.name.name.to_owned();
                            return Err(SplitError::ForbiddenImport(name));
                        }
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.count_external(kind),
                        ComponentAlias::CoreInstanceExport { kind, .. } => match kind {
                            ExternalKind::Func | ExternalKind::FuncExact => self.core_funcs += 1,
                            ExternalKind::Memory => self.core_memories += 1,
                            _ => {}
                        },
                        ComponentAlias::Outer { .. } => {
                            return Err(SplitError::Unsupported("it has outer aliases"));
                        }
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section.clone() {
                    if matches!(function?, CanonicalFunction::Lift { .. }) {
                        self.funcs += 1;
                    } else {
                        self.core_funcs += 1;
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.count_external(export?.kind);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count_external(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Func => self.funcs += 1,
            ComponentExternalKind::Type => self.types += 1,
            _ => {}
        }
    }
}

/// Copies the component, shifting module and core instance indices past the
/// imported image and rewriting the main module.
struct Splitter<'a> {
    survey: &'a Survey,
    modules_seen: u32,
    main: Option<MainModule>,
}

impl Reencode for Splitter<'_> {
    type Error = std::convert::Infallible;
}

impl ReencodeComponent for Splitter<'_> {
    fn module_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        bytes: &[u8],
    ) -> Result<(), wasm_encoder::reencode::Error> {
        let mut module = Module::new();
        if self.modules_seen == self.survey.main_module {
            let mut main = MainModule::new(self.survey.memory);
            parse_core_module(&mut main, &mut module, parser, bytes)?;
            self.main = Some(main);
        } else {
            let mut copy = wasm_encoder::reencode::RoundtripReencoder;
            parse_core_module(&mut copy, &mut module, parser, bytes)?;
        }
        self.modules_seen += 1;
        component.section(&ModuleSection(&module));
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: Instance<'_>,
    ) -> Result<(), wasm_encoder::reencode::Error> {
        match instance {
            Instance::Instantiate { module_index, args }
                if module_index == self.survey.main_module =>
            {
                let image = (IMAGE_IMPORT, ModuleArg::Instance(0));
                let own = args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index + 1)));
                instances.instantiate(module_index + 1, own.chain([image]).collect::<Vec<_>>());
                Ok(())
            }
            other => {
                wasm_encoder::reencode::component_utils::parse_instance(self, instances, other)
            }
        }
    }

    /// Names refer to indices that have shifted, and nothing reads them.
    fn parse_component_custom_section(
        &mut self,
        _component: &mut Component,
        _section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), wasm_encoder::reencode::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_we_ship_splits_and_stays_valid() {
        let split = split(crate::GUEST).unwrap();
        wasmparser::Validator::new().validate_all(&split.code).unwrap();
        let base = split.base.encode();
        wasmparser::Validator::new().validate_all(&base).unwrap();
        assert!(!split.base.segments.is_empty());
    }

    #[test]
    fn the_guest_we_ship_imports_the_sdk_and_no_wasi() {
        let mut imports = Vec::new();
        for payload in Parser::new(0).parse_all(crate::GUEST) {
            if let Payload::ComponentImportSection(section) = payload.unwrap() {
                let section = section.into_iter().map(Result::unwrap);
                let authority = section.filter(|i| !matches!(i.ty, TypeRef::Type(_)));
                imports.extend(authority.map(|i| i.name.name.to_owned()));
            }
        }
        imports.sort();
        assert_eq!(imports, IMPORTS);
    }

    #[test]
    fn a_guest_that_asks_for_more_is_refused() {
        let mut instance = wasm_encoder::InstanceType::new();
        instance.ty().function().params::<[(&str, PrimitiveValType); 0], _>([]).result(None);
        let mut types = ComponentTypeSection::new();
        types.instance(&instance);
        let mut imports = ComponentImportSection::new();
        imports.import("wasi:filesystem/preopens@0.2.0", ComponentTypeRef::Instance(0));
        let mut component = Component::new();
        component.section(&types).section(&imports);
        assert!(matches!(
            split(&component.finish()),
            Err(SplitError::ForbiddenImport(name)) if name.contains("filesystem")
        ));
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(split(b"").is_err());
        assert!(split(b"\0asm\x01\0\0\0").is_err());
        assert!(split(&[0xff; 64]).is_err());
    }
}
