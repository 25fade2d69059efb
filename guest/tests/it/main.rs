//! What scripts can do, run natively against a fake host.
