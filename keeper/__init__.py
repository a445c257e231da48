"""Alpha-Orion's keeper: finds, proves, sends and accounts for flash-loan arbitrage."""

__version__ = "0.1.0"
