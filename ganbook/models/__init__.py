"""How networks and losses become parameter updates."""
