"""Arguments of short runs."""

FAST = ("-params", "learning_starts:50", "batch_size:16", "policy_kwargs:{net_arch: [16, 16]}")
PENDULUM = ("train", "--env", "InvertedPendulum-v5", "--eval-episodes", 2)
