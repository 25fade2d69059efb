//! Changing an app to the end, whoever still waits for it.

use std::sync::Arc;

use picloud_manager_core::Error;
use picloud_shared::AppSlug;

use crate::http::problem::Problem;
use crate::node::Node;

/// Changes an app and has the next request see it.
pub(super) async fn change<T, F>(
    node: &Arc<Node>,
    app: &AppSlug,
    change: impl FnOnce(Arc<Node>) -> F,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let change = change(Arc::clone(node));
    let (node, app) = (Arc::clone(node), app.clone());
    // Whatever the answer is: a commit may have succeeded and yet not be
    // reported, and a second look at the database costs little.
    to_the_end(change, move || node.changed(&app)).await?.map_err(Problem::from)
}

/// Runs `change`, then `after`, in a task of its own: a client that hangs up
/// drops its request, and what it had begun would be committed without `after`.
pub(super) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
    after: impl FnOnce() + Send + 'static,
) -> Result<T, Problem> {
    let task = tokio::spawn(async move {
        let changed = change.await;
        after();
        changed
    });
    task.await.map_err(|error| {
        tracing::error!(%error, "changing an app failed");
        Problem::host_fault()
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_goes_on_when_its_client_has_hung_up() {
        let (commit, committed) = oneshot::channel::<()>();
        let (after, is_after) = oneshot::channel();
        let change = async { committed.await.unwrap() };
        let mut request = Box::pin(to_the_end(change, move || after.send(()).unwrap()));
        assert!(request.as_mut().now_or_never().is_none());
        drop(request);
        commit.send(()).unwrap();
        is_after.await.unwrap();
    }

    #[tokio::test]
    async fn the_answer_comes_after_what_follows_the_change() {
        let (after, mut is_after) = oneshot::channel();
        let answer = to_the_end(async { 7 }, move || after.send(()).unwrap()).await;
        assert_eq!(answer.ok(), Some(7));
        is_after.try_recv().unwrap();
    }
}
