"""What a new user types in the first hour: mistakes, and things that look right and therefore work.

Each case is a program or a command line, and words that its answer must have. The programs run with `TASKS` in the
working folder, in one process after another's imports, so that all of them together take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

# A module that a user might write. Each case gets fresh ids.
TASKS = '''
import gymnasium as gym
import numpy as np


class Bug(gym.Env):
    """Two positions and two velocities that are pushed to and fro."""

    observation_space = gym.spaces.Box(-10.0, 10.0, (4,))
    action_space = gym.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1.0, 1.0, 4).astype(np.float32)
        return self.state, {}

    def step(self, action):
        self.state = np.clip(self.state + 0.1 * np.array([*action, *action], np.float32), -10.0, 10.0)
        return self.state, -float(np.abs(self.state).sum()), False, False, {}


gym.register("MyAnt-v0", "gymnasium.envs.mujoco.ant_v5:AntEnv", max_episode_steps=1000)
for i in range(40):
    gym.register(f"Bug{i}-v0", Bug, max_episode_steps=20)
'''
IMPORTS = """
import gymnasium as gym
import numpy as np
import rpp_rl
import tasks
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from rpp_rl.agents import RPPSAC, RPPTD3, RPPPolicy

NAMES = {"observation": ["x", "y", "v", "w"], "action": ["push_x", "push_y"]}
"""


@dataclass(frozen=True)
class Case:
    """One thing that a new user types.

    Attributes:
        name: what is tried.
        typed: a program, or a command line that starts with ``rpp-rl``.
        answer: words that the answer has.
        works: whether it works, rather than being refused.
    """

    name: str
    typed: str
    answer: tuple[str, ...]
    works: bool = False


AN_ID = (
    Case(
        "an id is enough",
        'print(RPPSAC("MlpPolicy", "HalfCheetah-v5").symmetry.name)',
        ("rpp2021",),
        works=True,
    ),
    Case(
        "environments of make_vec_env",
        'print(RPPTD3("MlpPolicy", make_vec_env("Reacher-v5", 4)).symmetry.name)',
        ("sagittal",),
        works=True,
    ),
    Case(
        "an agent on an id without a symmetry",
        'RPPSAC("MlpPolicy", "Pendulum-v1")',
        ("Pendulum-v1", "rpp_rl.register_symmetry", "symmetry=", "PlainPolicy"),
    ),
    Case("the packages as attributes", "print(rpp_rl.envs.__name__, rpp_rl.agents.__name__)", ("rpp_rl.envs",), True),
    Case(
        "RPPPolicy in SAC",
        'SAC(RPPPolicy, rpp_rl.make("Reacher-v5"))',
        ('policy_kwargs={"symmetry": env.symmetry.to_dict()}',),
    ),
    Case(
        "the line that the error shows",
        'env = rpp_rl.make("Reacher-v5")\n'
        'agent = SAC(RPPPolicy, env, policy_kwargs={"symmetry": env.symmetry.to_dict()}, learning_starts=5)\n'
        'agent.learn(10).save("agent")\n'
        'print(RPPSAC.load("agent").symmetry == env.symmetry)',
        ("True",),
        works=True,
    ),
    Case(
        "RPPPolicy in TD3",
        'env = rpp_rl.make("Reacher-v5")\nTD3(RPPPolicy, env, policy_kwargs={"symmetry": env.symmetry})',
        ("a policy for SAC", "RPPTD3"),
    ),
    Case(
        "RPPPolicy in PPO",
        'env = rpp_rl.make("Reacher-v5")\n'
        'PPO(RPPPolicy, env, n_steps=8, batch_size=8, policy_kwargs={"symmetry": env.symmetry}).learn(8)',
        ("a policy for SAC",),
    ),
    Case(
        "a GPU that the machine does not have",
        'RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5"), device="cuda")',
        ("cuda", "use auto"),
    ),
    Case(
        "an argument that is misspelt",
        'RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5"), learning_rat=1e-3)',
        ("learning_rat", "did you mean 'learning_rate'?"),
    ),
    Case(
        "a number given as text",
        'RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5"), residual_init_scale="1e-3")',
        ("residual_init_scale", "number", "'1e-3'"),
    ),
    Case(
        "a learning rate given as text",
        'RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5"), learning_rate="fast")',
        ("learning_rate must be a finite number", "'fast'"),
    ),
)
DECLARATIONS = (
    Case(
        "a class in the place of the id",
        'rpp_rl.register_symmetry(tasks.Bug, **NAMES, swap=[("x", "y")])',
        ("must be the id of an environment", "Bug"),
    ),
    Case(
        "an environment in the place of the id",
        'rpp_rl.register_symmetry(gym.make("Bug0-v0"), **NAMES, swap=[("x", "y")])',
        ("must be the id of an environment", "'Bug0-v0'"),
    ),
    Case(
        "one pair without a list",
        'rpp_rl.register_symmetry("Bug1-v0", **NAMES, swap=["x", "y"])',
        ("swap must be a list of pairs", "[('x', 'y')]"),
    ),
    Case(
        "a name in the place of a list",
        'rpp_rl.register_symmetry("Bug2-v0", **NAMES, flip="x")',
        ("flip must be a list", "['x']"),
    ),
    Case(
        "names in the place of a list",
        'rpp_rl.register_symmetry("Bug3-v0", observation="x y v w", action=2, swap=[("x", "y")])',
        ("observation must be a list of names", "'x y v w'"),
    ),
    Case(
        "an entry named twice",
        'rpp_rl.register_symmetry("Bug4-v0", observation=["x", "x", "v", "w"], action=2, flip=["x"])',
        ("names 'x' twice",),
    ),
    Case(
        "an entry flipped twice",
        'rpp_rl.register_symmetry("Bug5-v0", **NAMES, flip=["x", "x"])',
        ("flip has 'x' twice",),
    ),
    Case(
        "too few entries",
        'rpp_rl.register_symmetry("Bug6-v0", observation=["x", "y", "v"], action=2, swap=[("x", "y")])\n'
        'rpp_rl.make("Bug6-v0")',
        ("3", "4", "Bug6-v0"),
    ),
    Case(
        "too many entries, with check=True",
        'rpp_rl.register_symmetry("Bug7-v0", observation=4, action=3, swap=[(0, 1)], check=True)',
        ("3", "2", "Bug7-v0"),
    ),
    Case(
        "nothing moves",
        'rpp_rl.register_symmetry("Bug8-v0", **NAMES)',
        ("moves nothing", "swap", "flip"),
    ),
    Case(
        "an id that is not registered",
        'rpp_rl.register_symmetry("Beetle-v0", reflection="y")',
        ("Beetle-v0", "not registered with gymnasium"),
    ),
    Case(
        "an index given as text",
        'rpp_rl.register_symmetry("Bug9-v0", observation=4, action=2, swap=[("0", "1")])',
        ("'0'", "index", "0 to 3"),
    ),
    Case(
        "a center given as text",
        'rpp_rl.register_symmetry("Bug10-v0", **NAMES, flip=["x"], center={"x": "one"})',
        ("center of 'x' must be a number", "'one'"),
    ),
    Case(
        "an argument of a declaration that is misspelt",
        'rpp_rl.register_symmetry("Bug11-v0", **NAMES, swpa=[("x", "y")])',
        ("swpa", "did you mean 'swap'?"),
    ),
    Case(
        "the swaps of Ant without the signs, with check=True",
        'rpp_rl.register_symmetry("MyAnt-v0", name="swaps", check=True, swap=[("hip_1", "hip_4"), '
        '("ankle_1", "ankle_4"), ("hip_2", "hip_3"), ("ankle_2", "ankle_3")])',
        ("fits better", "instead of 0.7", "hip_1 (given hip_4, better -hip_4)"),
        works=True,
    ),
)
COMMANDS = (
    Case("the version", "rpp-rl --version", ("rpp-rl 0.",), works=True),
    Case(
        "an environment whose module was not imported",
        "rpp-rl train --env Beetle-v0",
        ("not registered", "name its module: my_robots:Beetle-v0"),
    ),
    Case(
        "an environment without a symmetry",
        "rpp-rl train --env Pendulum-v1",
        ("rpp-rl new-symmetry Pendulum-v1", "--symmetry FILE", "--algo sac"),
    ),
    Case("an id that is misspelt", "rpp-rl train --env HalfCheeta-v5", ("did you mean 'HalfCheetah-v5'?",)),
    Case(
        "the environment without its flag",
        "rpp-rl train InvertedPendulum-v5 -n 60 --eval-episodes 1",
        ("runs/InvertedPendulum-v5",),
        works=True,
    ),
    Case(
        "steps as 1e2",
        "rpp-rl train --env InvertedPendulum-v5 --seed 1 -n 1e2 --eval-episodes 1",
        ("100 steps",),
        works=True,
    ),
    Case(
        "an id without its version",
        "rpp-rl train --env InvertedPendulum --seed 2 -n 60 --eval-episodes 1",
        ("runs/InvertedPendulum-v5",),
        works=True,
    ),
    Case(
        "several seeds of stable-baselines3's own SAC",
        "rpp-rl train --env InvertedPendulum-v5 --algo sac --seeds 0-1 -n 60 --eval-episodes 1",
        ("runs/InvertedPendulum-v5/sac/seed1",),
        works=True,
    ),
    Case("an option that does not exist", "rpp-rl train --learning-rate 1e-3", ("rpp-rl train --help",)),
    Case("a command that is misspelt", "rpp-rl trian", ("did you mean 'train'?",)),
    Case("the help of train", "rpp-rl train --help", ("What to train", "How long", "Examples"), works=True),
    Case(
        "the swaps of Ant without the signs",
        "rpp-rl audit Ant-v5 --symmetry swaps.yaml --states 100",
        ("symmetry 'sagittal'", "fits better", "instead of 0.7", "hip_1 (given hip_4, better -hip_4)"),
        works=True,
    ),
    Case(
        "an audit without MuJoCo",
        "rpp-rl audit Pendulum-v1 --symmetry pendulum.yaml",
        ("not contradicted", "one mirrored step: holds", "without MuJoCo"),
        works=True,
    ),
    Case(
        "a draft without MuJoCo",
        "rpp-rl new-symmetry Pendulum-v1 --out draft.yaml",
        ("rpp-rl audit Pendulum-v1 --symmetry draft.yaml",),
        works=True,
    ),
)
FILES = {
    "tasks.py": TASKS,
    "swaps.yaml": "swap: [[hip_1, hip_4], [ankle_1, ankle_4], [hip_2, hip_3], [ankle_2, ankle_3]]\n",
    "pendulum.yaml": "observation: [cos, sin, theta_dot]\naction: [torque]\nflip: [sin, theta_dot, torque]\n",
}
CASES = (*AN_ID, *DECLARATIONS, *COMMANDS)
