//! One whole server without I/O: dhcp, failover and leases composed, and the gate that holds every
//! reply until what it says is durable.
