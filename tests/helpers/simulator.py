"""Compare a declared symmetry with the simulator: set the mirrored state, step the mirrored action.

How the full state moves is written here by hand and independently of the declarations wherever an observation does
not hold it (root positions, angles behind sines, places of objects).
"""

from dataclasses import dataclass

import mujoco
import numpy as np

import rpp_rl

FLIP_X, FLIP_Y, KEEP = np.diag([-1.0]), np.diag([1.0, -1.0]), np.diag([1.0])
# How the root coordinates that observations leave out move under each generator.
ROOT = {
    ("HalfCheetah-v5", "rpp2021"): FLIP_X,
    ("HalfCheetah-v5", "fore_aft"): FLIP_X,
    ("Hopper-v5", "rpp2021"): FLIP_X,
    ("Walker2d-v5", "sagittal"): KEEP,
    ("Walker2d-v5", "rpp2021"): KEEP,
    ("Swimmer-v5", "sagittal"): FLIP_Y,
    ("Swimmer-v5", "rpp2021"): FLIP_Y,
    ("Ant-v5", "sagittal"): FLIP_Y,
    ("Ant-v5", "rpp2021"): np.array([[0.0, -1.0], [1.0, 0.0]]),
    ("Humanoid-v5", "sagittal"): FLIP_Y,
    ("Humanoid-v5", "rpp2021"): np.array([[0.0, 1.0], [1.0, 0.0]]),
    ("HumanoidStandup-v5", "sagittal"): FLIP_Y,
    ("InvertedPendulum-v5", "sagittal"): np.zeros((0, 0)),
}


def _signs(*signs):
    return np.diag(np.array(signs, float)), np.zeros(len(signs))


def _block(*blocks):
    size = sum(len(b) for b in blocks)
    total, start = np.zeros((size, size)), 0
    for b in blocks:
        total[start : start + len(b), start : start + len(b)] = b
        start += len(b)
    return total


_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
# qpos -> A qpos + b per generator, for the tasks whose observation is not qpos and qvel; qvel -> A qvel.
EXPLICIT = {
    ("InvertedDoublePendulum-v5", "sagittal"): [_signs(-1, -1, -1)],
    ("Reacher-v5", "sagittal"): [_signs(-1, -1, 1, -1)],
    ("Reacher-v5", "dihedral"): [
        (_block(np.eye(2), _TURN), np.array([np.pi / 2, 0, 0, 0])),
        (np.diag([-1.0, -1.0, -1.0, 1.0]), np.array([np.pi, 0, 0, 0])),
    ],
    # Object and goal stand at y = -0.05 plus their slides; the plane at y = -0.6 sends s to -1.1 - s.
    ("Pusher-v5", "sagittal"): [
        (np.diag([-1.0, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1]), np.array([0.0] * 7 + [-1.1, 0, -1.1, 0]))
    ],
}


def state_maps(env_id, symmetry, generator):
    """(A, b) of qpos and A of qvel for a generator."""
    key = (env_id, symmetry.name)
    if key in EXPLICIT:
        A, b = EXPLICIT[key][generator]
        return A, b, A
    env = rpp_rl.make(env_id, symmetry)
    structure, nv = env.unwrapped.observation_structure, env.unwrapped.model.nv
    env.close()
    n = structure["qpos"]
    rho = symmetry.observation.matrix(symmetry.group.words.index((generator,)))
    A = _block(ROOT[key], rho[:n, :n])
    # Velocities of the root move as its positions do, and observations hold them all.
    return A, np.zeros(len(A)), rho[n : n + nv, n : n + nv]


def set_state(env, qpos, qvel):
    """Set the full state afresh: warm start, contacts and forces of an earlier step would break the comparison."""
    base = env.unwrapped
    mujoco.mj_resetData(base.model, base.data)
    base.set_state(qpos, qvel)


@dataclass(frozen=True)
class Comparison:
    """Steps from states of a random rollout, and from their mirror images.

    Attributes:
        before: observations of the states, (states, entries).
        after: observations one step later.
        mirrored_before: observations of the mirrored states.
        mirrored_after: those one step later, under the mirrored action.
        reward: rewards.
        mirrored_reward: rewards of the mirrored steps.
        mismatched: whether only one of the two steps terminated.
        contact: whether the state was in contact.
    """

    before: np.ndarray
    after: np.ndarray
    mirrored_before: np.ndarray
    mirrored_after: np.ndarray
    reward: np.ndarray
    mirrored_reward: np.ndarray
    mismatched: np.ndarray
    contact: np.ndarray

    def observation_error(self, symmetry, element=1):
        """|obs(g s) - g obs(s)| for each state and entry."""
        return np.abs(self.mirrored_before - symmetry.transform_observation(element, self.before))

    def step_error(self, symmetry, element=1):
        """|obs(g s') - g obs(s')| after one step, for each state and entry."""
        return np.abs(self.mirrored_after - symmetry.transform_observation(element, self.after))

    def dynamics_error(self, symmetry, element=1):
        """Per state: the step error relative to the change, each entry in units of its own typical change."""
        change = self.after - self.before
        scale = np.sqrt(np.mean(change**2, axis=0))
        moving = scale > 1e-9
        error = self.step_error(symmetry, element)[:, moving] / scale[moving]
        return np.linalg.norm(error, axis=1) / np.linalg.norm(change[:, moving] / scale[moving], axis=1)

    def reward_error(self):
        """The mean difference of rewards over their standard deviation."""
        spread = max(np.std(self.reward), 1e-12)
        return np.mean(np.abs(self.mirrored_reward - self.reward)) / spread


def compare(env_id, symmetry, generator=0, states=200, seed=0, changed=None):
    """Run a `Comparison` for one generator.

    Args:
        changed: a symmetry to act on actions with, instead of the one that moves the full state.
    """
    element = symmetry.group.words.index((generator,))
    A, b, A_v = state_maps(env_id, symmetry, generator)
    roll, one, two = (rpp_rl.make(env_id, symmetry) for _ in range(3))
    rng = np.random.default_rng(seed)
    for env in (roll, one, two):
        env.reset(seed=seed)
    low, high = roll.action_space.low, roll.action_space.high
    rows = []
    while len(rows) < states:
        data = roll.unwrapped.data
        qpos, qvel = data.qpos.copy(), data.qvel.copy()
        action = rng.uniform(low, high).astype(np.float32)
        set_state(one, qpos, qvel)
        set_state(two, A @ qpos + b, A_v @ qvel)
        before, mirrored_before = (env.unwrapped._get_obs() for env in (one, two))
        contact = one.unwrapped.data.ncon > 0
        after, reward, done, *_ = one.unwrapped.step(action)
        mirrored_action = (changed or symmetry).transform_action(element, action)
        mirrored_after, mirrored_reward, mirrored_done, *_ = two.unwrapped.step(mirrored_action)
        rows.append(
            (before, after, mirrored_before, mirrored_after, reward, mirrored_reward, done != mirrored_done, contact)
        )
        _, _, terminated, truncated, _ = roll.step(action)
        if terminated or truncated or len(rows) % 50 == 0:
            roll.reset()
    for env in (roll, one, two):
        env.close()
    return Comparison(*(np.array(column) for column in zip(*rows, strict=True)))
