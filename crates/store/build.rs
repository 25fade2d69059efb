//! `sqlx::migrate!` reads a directory, of which cargo knows nothing by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
