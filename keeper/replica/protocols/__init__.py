"""One file a protocol: ``deploy`` puts its contracts at their mainnet addresses, and fills them."""
