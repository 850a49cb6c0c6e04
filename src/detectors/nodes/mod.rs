//! Nodes, certificates, identities and scale.

mod autoscaler_refuses;
mod azure_identity_lacks_permission;
mod certificate_expired;
mod node_not_ready;
mod node_out_of_memory;
mod node_retransmits_rose;
mod node_service_stopped;
mod node_under_pressure;
mod node_unreachable_from_peers;
mod pdb_blocks_drain;
mod run_command_failed;

super::detectors![
    node_service_stopped,
    node_not_ready,
    node_retransmits_rose,
    certificate_expired,
    azure_identity_lacks_permission,
    autoscaler_refuses,
    pdb_blocks_drain,
    run_command_failed,
    node_unreachable_from_peers,
    node_under_pressure,
    node_out_of_memory,
];
