"""Alpha-Orion's keeper: finds, proves, sends and accounts for flash-loan arbitrage."""
