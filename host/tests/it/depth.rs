//! What nests deep in the guest comes to an end before its stack does: a script
//! can be told, and no stack's end is the host's fault.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use picloud_shared::{CompileError, Outcome, Program, Sandbox as _};

use crate::support::{Run, assert_unharmed};

fn program(files: &[(&str, &str)]) -> Program {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    Program::new("index.rhai", Arc::new(files.collect::<BTreeMap<_, _>>()))
}

/// Runs a program that must fail through its own fault, and says how.
async fn failure(run: &Run, files: &[(&str, &str)]) -> String {
    match run.program(&program(files)).await.outcome {
        Outcome::ScriptError(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_template_that_contains_itself_is_an_error_however_deep_it_is_called() {
    let run = Run::alone();
    let nested =
        "fn nest(n) { if n == 0 { template::render(\"t.html\", #{}) } else { nest(n - 1) } }";
    for template in [
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% include \"t.html\" %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{% for x in [1] %}{{ m() }}{% endfor %}{% endmacro %}{{ m() }}",
    ] {
        for depth in [0, 50] {
            let script = format!("{nested} nest({depth})");
            let files = [("index.rhai", script.as_str()), ("templates/t.html", template)];
            let error = failure(&run, &files).await;
            assert!(!error.is_empty(), "{template} {depth}");
        }
    }
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn a_template_of_endless_operators_is_refused_when_it_is_compiled() {
    let run = Run::alone();
    for operator in ["not ", "-", "(", "["] {
        let mut template = String::from("{{ ");
        for _ in 0..5_000 {
            template.write_str(operator).unwrap();
        }
        template.push_str("1 }}");
        let files = [("index.rhai", "1"), ("templates/t.html", template.as_str())];
        match run.host.compile(&program(&files)).await {
            Err(CompileError::Script(_) | CompileError::TooLarge(_)) => {}
            other => panic!("{operator}: {other:?}"),
        }
    }
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn handlers_that_invoke_one_another_come_to_an_end() {
    let run = Run::alone();
    let deep =
        "fn down(n, f) { if n == 0 { app::invoke(\"index.rhai\", f) } else { down(n - 1, f) } }
        fn handle(x) { down(50, 1) }";
    let error = failure(&run, &[("index.rhai", deep)]).await;
    assert!(!error.is_empty());
    let plain = "fn handle(x) { app::invoke(\"index.rhai\", 1) }";
    let error = failure(&run, &[("index.rhai", plain)]).await;
    assert!(error.contains('8'), "{error}");
    assert_unharmed(&run.host).await;
}
