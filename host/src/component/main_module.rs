//! The rewriting of the module that had the memory.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, ImportSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{DataKind, Operator};

use super::{IMAGE_IMPORT, SplitError};

/// The core export that hands out the memory.
pub(super) const ACCESSOR: &str = "picloud-memory-image";

/// Copies the main module with its memory imported, its data left out and the
/// accessor added, and remembers what has to be checked.
pub(super) struct MainModule {
    memory: MemoryType,
    /// What the data segments held: offset and bytes.
    pub(super) segments: Vec<(u32, Vec<u8>)>,
    types: u32,
    imported_functions: u32,
    functions: u32,
    globals: u32,
    /// Index and initial value of each mutable global.
    mutable_globals: Vec<(u32, Option<i32>)>,
    imports_memory: bool,
    has_function_section: bool,
    fault: Option<&'static str>,
}

impl MainModule {
    pub(super) fn new(memory: MemoryType) -> Self {
        Self {
            memory,
            segments: Vec::new(),
            types: 0,
            imported_functions: 0,
            functions: 0,
            globals: 0,
            mutable_globals: Vec::new(),
            imports_memory: false,
            has_function_section: false,
            fault: None,
        }
    }

    /// Whether all that an image leaves out is known to be the same in every
    /// instance: a snapshot holds memory, not globals nor tables.
    pub(super) fn check(&self) -> Result<(), SplitError> {
        if let Some(fault) = self.fault {
            return Err(SplitError::Unsupported(fault));
        }
        if !self.imports_memory || !self.has_function_section {
            return Err(SplitError::Unsupported("its main module has no imports or no functions"));
        }
        match self.mutable_globals.as_slice() {
            [(_, Some(_))] => Ok(()),
            _ => Err(SplitError::Unsupported(
                "its main module should have one mutable global, the stack pointer",
            )),
        }
    }

    /// `() -> i32`: traps unless the stack is empty, grows the memory by a page,
    /// writes there where the memory is (0) and how long it was, and returns
    /// the address of that pair.
    fn accessor(&self) -> Function {
        let (stack_pointer, empty) = match self.mutable_globals.as_slice() {
            [(global, Some(initial))] => (*global, *initial),
            // Refused by `check` afterwards.
            _ => (0, 0),
        };
        let at = |offset| wasm_encoder::MemArg { offset, align: 2, memory_index: 0 };
        let mut function = Function::new([(1, ValType::I32)]);
        let mut code = function.instructions();
        code.global_get(stack_pointer).i32_const(empty).i32_ne();
        code.if_(BlockType::Empty).unreachable().end();
        code.memory_size(0).i32_const(16).i32_shl().local_set(0);
        code.i32_const(1).memory_grow(0).i32_const(-1).i32_eq();
        code.if_(BlockType::Empty).unreachable().end();
        code.local_get(0).i32_const(0).i32_store(at(0));
        code.local_get(0).local_get(0).i32_store(at(4));
        code.local_get(0).end();
        function
    }
}

impl Reencode for MainModule {
    type Error = std::convert::Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        self.types = types.len();
        types.ty().function([], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Result<(), Error> {
        for import in section.clone().into_imports() {
            match import?.ty {
                wasmparser::TypeRef::Func(_) => self.imported_functions += 1,
                _ => self.fault = Some("its main module imports more than functions"),
            }
        }
        utils::parse_import_section(self, imports, section)?;
        imports.import(IMAGE_IMPORT, "memory", EntityType::Memory(self.memory));
        self.imports_memory = true;
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        self.functions = functions.len();
        self.has_function_section = true;
        functions.function(self.types);
        Ok(())
    }

    /// The memory is imported now.
    fn parse_memory_section(
        &mut self,
        _memories: &mut MemorySection,
        _section: wasmparser::MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn parse_global(
        &mut self,
        globals: &mut GlobalSection,
        global: wasmparser::Global<'_>,
    ) -> Result<(), Error> {
        if global.ty.mutable {
            let mut reader = global.init_expr.get_operators_reader();
            let initial = match reader.read()? {
                Operator::I32Const { value } => Some(value),
                _ => None,
            };
            self.mutable_globals.push((self.globals, initial));
        }
        self.globals += 1;
        utils::parse_global(self, globals, global)
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(ACCESSOR, ExportKind::Func, self.imported_functions + self.functions);
        Ok(())
    }

    fn start_section(&mut self, start: u32) -> Result<u32, Error> {
        // It would run again in every instance, on top of the image.
        self.fault = Some("its main module has a start function");
        Ok(start)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.accessor());
        Ok(())
    }

    fn parse_data_section(
        &mut self,
        _data: &mut wasm_encoder::DataSection,
        section: wasmparser::DataSectionReader<'_>,
    ) -> Result<(), Error> {
        for data in section {
            let data = data?;
            let offset = match data.kind {
                DataKind::Active { memory_index: 0, offset_expr } => {
                    match offset_expr.get_operators_reader().read()? {
                        Operator::I32Const { value } => Some(value.cast_unsigned()),
                        _ => None,
                    }
                }
                _ => None,
            };
            match offset {
                Some(offset) => self.segments.push((offset, data.data.to_vec())),
                None => self.fault = Some("it has a data segment without a fixed place"),
            }
        }
        Ok(())
    }

    /// Without data segments there is no use for their count, and an
    /// instruction that needed it would not validate.
    fn data_count(&mut self, _count: u32) -> Result<u32, Error> {
        Ok(0)
    }

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }
}
