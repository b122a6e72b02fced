//! DHCPv4 service rules without I/O: classify a message, choose subnet and address, build the reply.
