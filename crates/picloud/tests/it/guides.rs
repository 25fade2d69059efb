//! The guides: each that shows tests is an app, of the files that its blocks of
//! code name, and passes them.

use std::fs;
use std::path::Path;

use crate::support::{command, run};

/// The blocks of code that name a file: its path and its text.
fn files(guide: &str) -> Vec<(&str, &str)> {
    let blocks = guide.split("\n```").skip(1).step_by(2);
    blocks
        .filter_map(|block| {
            let (info, text) = block.split_once('\n')?;
            let (_, path) = info.split_once(' ')?;
            Some((path, text))
        })
        .collect()
}

#[test]
fn every_guide_passes_the_tests_that_it_shows() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let mut tested = 0;
    for guide in fs::read_dir(guides).unwrap() {
        let guide = guide.unwrap().path();
        let text = fs::read_to_string(&guide).unwrap();
        let files = files(&text);
        if !files.iter().any(|(path, _)| path.starts_with("tests/")) {
            continue;
        }
        let app = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = app.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut command = command();
        command.arg("test").arg(app.path()).args(["--app", "guide"]);
        let ended = run(command);
        assert_eq!(ended.code, 0, "{}\n{}{}", guide.display(), ended.stdout, ended.stderr);
        tested += 1;
    }
    assert!(tested >= 5, "only {tested} guides show tests");
}
