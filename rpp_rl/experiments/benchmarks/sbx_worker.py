"""Time SBX's SAC. `rpp-rl bench --sbx-python` runs this file with a Python that has sbx-rl, but not this library.

The command line holds one JSON object. Each line of the input is a number of steps; the answer is the seconds that
these environment steps took with a gradient step each, and as many gradient steps alone.
"""

import json
import sys
import time


def main() -> None:
    """Answer until the input ends."""
    import gymnasium as gym
    from sbx import SAC

    wanted = json.loads(sys.argv[1])
    warm_up = wanted["warm_up"]
    width = wanted["width"]
    agent = SAC(
        "MlpPolicy",
        gym.make(wanted["env"]),
        learning_starts=warm_up - 50,
        batch_size=wanted["batch_size"],
        policy_kwargs={"net_arch": [width, width]},
        seed=0,
    )
    agent.learn(warm_up)
    agent.train(3, wanted["batch_size"])
    from jax import default_backend

    print(f"ready {default_backend()}", flush=True)
    for line in sys.stdin:
        steps = int(line)
        start = time.perf_counter()
        agent.learn(steps, reset_num_timesteps=False)
        between = time.perf_counter()
        # One at a time, as in training; the logger's record waits for the result.
        for _ in range(steps):
            agent.train(1, wanted["batch_size"])
        print(json.dumps([between - start, time.perf_counter() - between]), flush=True)


if __name__ == "__main__":
    main()
