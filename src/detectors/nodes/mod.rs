//! Nodes, certificates, identities, scheduling and scale.

mod autoscaler_refuses;
mod azure_identity_lacks_permission;
mod certificate_expired;
mod node_not_ready;
mod node_service_failed;
mod node_unreachable_from_peers;
mod pdb_blocks_drain;
mod pod_unschedulable;
mod run_command_failed;

super::detectors![
    node_not_ready,
    certificate_expired,
    azure_identity_lacks_permission,
    pod_unschedulable,
    autoscaler_refuses,
    pdb_blocks_drain,
    run_command_failed,
    node_unreachable_from_peers,
    node_service_failed,
];
