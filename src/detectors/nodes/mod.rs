//! Nodes, certificates, identities, scheduling and scale.

super::detectors![
    node_not_ready,
    certificate_expired,
    azure_identity_lacks_permission,
    pod_unschedulable,
    autoscaler_refuses,
    pdb_blocks_drain,
    run_command_failed,
];
