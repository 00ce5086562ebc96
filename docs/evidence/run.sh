#!/bin/sh
# Everything that a claim about symmetry needs on one environment; run it again to go on after an interruption.
#
#     docs/evidence/run.sh ENV STEPS EVAL_FREQ SEEDS FOLDER [JOBS]
#     rpp-rl compare FOLDER --filter "*/ENV/*" --baseline mlp_sac
set -eu
env=$1 steps=$2 eval_freq=$3 seeds=$4 folder=$5 jobs=${6:-2}
here=$(dirname "$0")
PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH

sweep() {
    name=$1
    shift
    rpp-rl sweep -n "$steps" --eval-freq "$eval_freq" --eval-episodes 5 --jobs "$jobs" -f "$folder/$name" "$@"
}

# Seed by seed, so that whatever time there is gives whole pairs.
for seed in $seeds; do
    sweep plain --seeds "$seed" --envs "$env" --algos rpp_sac equivariant_sac mlp_sac
    sweep trivial --seeds "$seed" --envs "$env" --plan "$here/trivial.yml"
    sweep wrong --seeds "$seed" --envs "wrong_maps:$env" --plan "$here/wrong.yml" --trust
    sweep double --seeds "$seed" --envs "$env" --algos mlp_sac -params learning_rate:6e-4
    sweep small_step --seeds "$seed" --envs "$env" --algos rpp_sac -params residual_step_ratio:0.1
done
