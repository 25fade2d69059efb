use std::sync::Arc;

use picloud_orchestrator_core::{AppDirectory, RunnableApp};
use picloud_shared::{AppSlug, Limits, ReleaseNumber};

use crate::stores::Stores;

/// An app with these manifests as its releases; the last one is active.
struct Shop {
    directory: AppDirectory,
    slug: AppSlug,
}

impl Shop {
    fn new(manifests: &[&str]) -> Self {
        let stores = Arc::new(Stores::new());
        for manifest in manifests {
            stores.deploy("shop", &[("index.rhai", "1"), ("picloud.toml", manifest)]);
        }
        let directory =
            AppDirectory::new(stores.clone(), stores.clone(), Limits::default(), 1 << 20);
        Self { directory, slug: "shop".parse().unwrap() }
    }

    async fn active(&self) -> Arc<RunnableApp> {
        self.directory.active(&self.slug).await.unwrap().unwrap()
    }

    async fn preview(&self, number: i64) -> Arc<RunnableApp> {
        self.directory.preview(&self.slug, ReleaseNumber(number)).await.unwrap().unwrap()
    }
}

/// The secrets that a GET has to know, or `400`.
fn asked(app: &RunnableApp, path: &str) -> String {
    let Some(demands) = app.demands("GET", path) else { return "400".to_owned() };
    let names: Vec<_> =
        demands.auth.iter().map(|auth| auth.secret().unwrap().to_string()).collect();
    names.join(" ")
}

fn token(path: &str, secret: &str) -> String {
    format!("[[ingress.rules]]\npath = '{path}'\nauth = 'token'\nsecret = '{secret}'\n")
}

#[tokio::test]
async fn no_spelling_of_a_path_is_a_way_around_a_rule() {
    let open = "[[ingress.rules]]\npath = '/open/{*rest}'\nauth = 'none'\n";
    let manifest =
        format!("{}{}{open}", token("/{*rest}", "ALL"), token("/admin/{*rest}", "ADMIN"));
    let shop = Shop::new(&[&manifest]).active().await;
    for (path, expected) in [
        ("/", "ALL"),
        ("//", "ALL"),
        ("/x", "ALL"),
        ("/open", ""),
        ("/open/x", ""),
        ("/%6fpen/x", ""),
        ("/admin", "ADMIN"),
        ("/admin/", "ADMIN"),
        ("/admin//", "ADMIN"),
        ("/admin/x?", "ADMIN"),
        ("/%61dmin/x", "ADMIN"),
        // What a script could take for the admin's part must satisfy both.
        ("//admin/x", "ALL ADMIN"),
        ("//admin", "ALL ADMIN"),
        ("/admin%2Fx", "ALL ADMIN"),
        ("/admin%2fx", "ALL ADMIN"),
        ("/%2Fadmin", "ALL ADMIN"),
        // And what could be taken for the open part is not open.
        ("//open/x", "ALL"),
        ("/open%2Fx", "ALL"),
        ("/open/..%2Fadmin", "ADMIN"),
        ("/open/x%2F..%2F..%2Fy", "ALL"),
        ("/open/../admin", "400"),
        ("/open/%2e%2e/admin", "400"),
        ("/admin%00", "400"),
        ("/admin%", "400"),
        ("admin", "400"),
        ("*", "400"),
    ] {
        assert_eq!(asked(&shop, path), expected, "{path}");
    }
}

#[tokio::test]
async fn a_preview_is_under_its_own_rules_and_those_of_today() {
    let rate = "[[ingress.rules]]\npath = '/'\nrate = { requests = 5, per_s = 60 }\n";
    let shop = Shop::new(&["", &token("/", "OLD"), &format!("{}{rate}", token("/{*rest}", "NEW"))]);
    assert_eq!(asked(&*shop.active().await, "/"), "NEW");
    assert_eq!(asked(&*shop.preview(1).await, "/"), "NEW");
    assert_eq!(asked(&*shop.preview(2).await, "/"), "OLD NEW");
    assert_eq!(asked(&*shop.preview(2).await, "/x"), "NEW");
    assert_eq!(asked(&*shop.preview(3).await, "/"), "NEW");
    let rates = |app: &RunnableApp| app.demands("GET", "/").unwrap().rates;
    assert_eq!(rates(&*shop.preview(1).await), rates(&*shop.active().await));
    assert_eq!(rates(&*shop.preview(1).await).len(), 1);
}

#[tokio::test]
async fn the_lowest_of_the_bodies_limits_holds() {
    let body = |bytes| format!("[[ingress.rules]]\npath = '/'\nbody_bytes = {bytes}\n");
    let shop = Shop::new(&[&body(10), &body(20)]);
    let bytes = |app: &RunnableApp| app.demands("POST", "/").unwrap().body_bytes;
    assert_eq!(bytes(&*shop.preview(1).await), Some(10));
    assert_eq!(bytes(&*shop.active().await), Some(20));
}
