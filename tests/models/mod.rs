//! What the engines are measured against, by properties of random clusters and by the fuzz targets alike.

pub(crate) mod ipam;
pub(crate) mod policy;
pub(crate) mod rbac;
