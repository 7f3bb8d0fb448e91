"""How long tests wait for what should happen."""

PATIENCE_SECONDS = 180.0
"""More than a busy machine needs: only a test that fails waits so long. Never a measure of anything."""
