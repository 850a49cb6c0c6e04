//! Arithmetic of IP ranges.

use ipnet::IpNet;

/// Addresses that Azure keeps of every subnet: network, gateway, two for DNS, broadcast.
pub const AZURE_RESERVES: u64 = 5;

/// Addresses of a range.
pub fn size(range: IpNet) -> u64 {
    let bits = u32::from(range.max_prefix_len() - range.prefix_len());
    1_u64.checked_shl(bits).unwrap_or(u64::MAX)
}

/// Whether two ranges have an address in common.
pub fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(overlap(net("10.0.0.0/16"), net("10.0.4.0/24")));
        assert!(!overlap(net("10.0.0.0/16"), net("10.1.0.0/16")));
        assert!(!overlap(net("10.0.0.0/16"), net("fd00::/64")));
        assert_eq!((size(net("10.0.0.0/24")), size(net("::/0"))), (256, u64::MAX));
    }
}
