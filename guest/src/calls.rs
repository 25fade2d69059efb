//! The calls that are written in a program: found once, while it is being
//! loaded, so that what they will need is prepared.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Stmt};

/// The calls in the files that have been parsed.
#[derive(Default)]
pub(crate) struct Calls {
    shapes: BTreeSet<Shape>,
    /// Whether there is code that is parsed at run time, with calls that nobody
    /// knows yet.
    pub(crate) incomplete: bool,
}

/// What a call looks like, apart from its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// What stands before the `::`; empty for methods and plain functions.
    pub(crate) namespace: String,
    /// As the parser has it, see `dialect`.
    pub(crate) name: String,
    /// How many arguments there are. A method's receiver is one.
    pub(crate) arity: usize,
}

impl Calls {
    /// Adds those of a file.
    pub(crate) fn add(&mut self, ast: &AST) {
        ast.walk(&mut |nodes: &[ASTNode<'_>]| {
            match nodes.last() {
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) => self.add_call(call, 0),
                Some(ASTNode::Expr(Expr::MethodCall(call, _))) => self.add_call(call, 1),
                _ => {}
            }
            true
        });
    }

    fn add_call(&mut self, call: &FnCallExpr, receivers: usize) {
        // Operators are calls, too.
        if call.op_token.is_some() {
            return;
        }
        let namespace = match call.namespace.path.as_slice() {
            [] => String::new(),
            [name] => name.name.to_string(),
            // No namespace of the SDK lies within another.
            _ => return,
        };
        let name = call.name.to_string();
        self.shapes.insert(Shape { namespace, name, arity: call.args.len() + receivers });
    }

    pub(crate) fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter()
    }
}
