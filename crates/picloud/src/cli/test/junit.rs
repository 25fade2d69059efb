//! Results as JUnit XML, which CI servers read.

use std::path::Path;

use anyhow::Context as _;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::output_of;
use crate::tester::Ran;

/// Writes the tests, a suite per file of tests.
pub(super) fn write(path: &Path, tests: &[Ran]) -> anyhow::Result<()> {
    let mut report = Report::new("picloud test");
    for tests in tests.chunk_by(|a, b| a.test.file == b.test.file) {
        let mut suite = TestSuite::new(tests.first().map_or("", |ran| ran.test.file.as_str()));
        suite.add_test_cases(tests.iter().map(case));
        report.add_test_suite(suite);
    }
    let xml = report.to_string().context("the report is not XML")?;
    Ok(std::fs::write(path, xml)?)
}

fn case(ran: &Ran) -> TestCase {
    let status = match &ran.failure {
        None => TestCaseStatus::success(),
        Some(issue) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(&issue.message);
            if let Some(code) = &issue.code {
                status.set_type(code);
            }
            let place = match (&issue.file, issue.line, issue.column) {
                (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}\n"),
                _ => String::new(),
            };
            status.set_description(format!("{place}{}", issue.excerpt.as_deref().unwrap_or("")));
            status
        }
    };
    let mut case = TestCase::new(&ran.test.name, status);
    case.set_classname(&ran.test.file).set_time(ran.duration);
    let output = output_of(ran).join("\n");
    if !output.is_empty() {
        case.set_system_out(output);
    }
    case
}
