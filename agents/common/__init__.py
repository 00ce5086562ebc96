"""What every algorithm needs: policies, saving, checkpoints, callbacks, normalization, export."""
