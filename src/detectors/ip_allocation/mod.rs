//! Pods that can't get an address.

super::detectors![pod_ip_leak];
