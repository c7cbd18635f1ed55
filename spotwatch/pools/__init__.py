"""Instance type offerings to a plan over Spot capacity pools, and from there to the configuration that creates it."""
