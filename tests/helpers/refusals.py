"""What the command line refuses: arguments, and words of the sentence that says so."""

TRAIN = [
    (("--env", "HalfCheeta-v5"), "unknown environment 'HalfCheeta-v5': did you mean 'HalfCheetah-v5'?"),
    (("--env", "HalfCheetah-v99"), "unknown environment 'HalfCheetah-v99'"),
    (("--env", "HalfCheetah-v5", "--symmetry", "rpp2022"), "did you mean 'rpp2021'?"),
    (("--algo", "rpp_sca"), "unknown algorithm 'rpp_sca': did you mean 'rpp_sac'?"),
    (("--env", "CartPole-v1"), "Discrete(2)"),
    (("--env", "CartPole-v1", "--algo", "sac"), "Discrete(2)"),
    (("--env", "Pendulum-v1"), "no symmetry is declared for Pendulum-v1"),
    (
        ("--env", "Hopper-v5", "--env-kwargs", "exclude_current_positions_from_observation:false"),
        "that of Hopper-v5 has 12",
    ),
    (("--env", "Ant-v5", "--env-kwargs", "colour:red"), "Ant-v5 cannot be made with {'colour': 'red'}"),
    (("--env-kwargs", "colour"), "key:value"),
    (("-params", "gama:0.9"), "unknown hyperparameter of rpp_sac 'gama': did you mean 'gamma'?"),
    (("-params", "gamma:high"), "gamma must be a float, got 'high'"),
    (("-params", "batch_size:1.5"), "batch_size must be a whole number"),
    (("-params", "policy_kwargs:{net_arch: [30, 31]}"), "next width that works is 32"),
    (("-params", "policy_kwargs:[1]"), "policy_kwargs must be a mapping"),
    (("-params", "policy_kwargs:{net_arch: [1"), "cannot be read"),
    (("-params", "policy_kwargs:{depth: 3}"), "unknown option of RPPPolicy 'depth'"),
    (("-params", "use_sde:true"), "use_sde=False"),
    (("-params", "policy:CnnPolicy"), "unknown policy 'CnnPolicy'"),
    (("--env", ""), "env must be the id of an environment, got nothing"),
    (("-n", "0"), "n_timesteps must be at least 1"),
    (("--n-envs", "0"), "n_envs must be at least 1"),
    (("--seed", "-1"), "seed must be"),
    (("--eval-freq", "0"), "eval_freq must be"),
    (("--eval-episodes", "0"), "eval_episodes must be"),
    (("--device", "quantum"), "unknown device 'quantum'"),
    (("--device", "cpu:7"), "unknown device 'cpu:7'"),
    (("--device", "meta"), "unknown device 'meta'"),
    (("-i", "nowhere.zip"), "cannot find a run or model at nowhere.zip"),
    (("-params", "n_timesteps:null"), "n_timesteps needs a value"),
    (("-params", "gamma:null"), "gamma needs a value"),
    (("-params", "batch_size:0"), "batch_size must be a whole number of at least 1"),
    (("-params", "buffer_size:1000000000000000"), "rpp_sac cannot be built"),
    (("-params", "policy_kwargs:{activation_fn: 'torch.nn:Tahn'}"), "'torch.nn:Tahn' names nothing"),
    (("--env-kwargs", "symmetry:trivial"), "use --env or --symmetry"),
    (("--env", "nowhere:Mine-v0"), "the module of 'nowhere:Mine-v0' cannot be imported"),
]

OTHERS = [
    (("evaluate", "nowhere"), "cannot find a run or model at nowhere"),
    (("evaluate", "."), "holds no model.zip"),
    (("evaluate", "nowhere", "--seed", "-1"), "--seed must be"),
    (("evaluate", "nowhere", "--device", "quantum"), "unknown device"),
    (("symmetries", "Hoper-v5"), "did you mean 'Hopper-v5'?"),
    (("symmetries", "Walker2d-v4"), "only for Walker2d-v5"),
    (("train", "--resume", "nowhere"), "is not a run folder"),
    (("train", "--resume", "nowhere", "--gamma", "1"), ""),
    (("export", "nowhere"), "cannot find a run or model at nowhere"),
    (("audit", "Hoper-v5"), "did you mean 'Hopper-v5'?"),
    (("bench", "--seconds", "-1"), ""),
    (("new-symmetry", "Hoper-v5"), "did you mean 'Hopper-v5'?"),
    (("enjoy", "nowhere"), "cannot find a run or model at nowhere"),
    (("trian",), "unknown command 'trian': did you mean 'train'?"),
    (("fly",), ""),
    ((), ""),
]


def trained_with(arguments):
    """The command that trains with these arguments, for few steps, so that what is not refused ends soon."""
    environment = () if "--env" in arguments else ("--env", "InvertedPendulum-v5")
    steps = () if "-n" in arguments else ("-n", "50")
    return ("train", *environment, *steps, *arguments)
