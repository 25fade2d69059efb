//! What there is to say of files that nobody has deployed yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use picloud_shared::App;

use super::Manager;
use crate::{Error, Issue};

/// What a deploy of some files would say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Why it would be refused; empty if it would not.
    pub errors: Vec<Issue>,
    /// What is not wrong and yet perhaps not meant.
    pub warnings: Vec<String>,
}

impl Manager {
    /// Examines files as a deploy of them would, and stores nothing.
    ///
    /// # Errors
    /// Those of a deploy but [`Error::Rejected`], which is the answer.
    pub async fn check(
        &self,
        app: &App,
        files: &BTreeMap<String, Bytes>,
    ) -> Result<Checked, Error> {
        self.check_caps(files)?;
        match self.review(app, files).await {
            Ok(review) => Ok(Checked { errors: Vec::new(), warnings: review.warnings }),
            Err(Error::Rejected(errors)) => Ok(Checked { errors, warnings: Vec::new() }),
            Err(error) => Err(error),
        }
    }
}
