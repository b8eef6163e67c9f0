#!/usr/bin/env bash
# One run on nodes that Slurm gives, where fade_ray is installed for all of them:
#
#     sbatch examples/clusters/slurm.sh search --data /shared/train.parquet --out /shared/runs/mine
#
# When the time is over the run is told to stop; the same line goes on with it.
#SBATCH --job-name=fade-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=2
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
set -euo pipefail

export RAY_AUTH_MODE=token OMP_NUM_THREADS=1
test -s ~/.ray/auth_token || (umask 077 && ray get-auth-token --generate > /dev/null)

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
on_head=(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head")
host=$("${on_head[@]}" hostname --ip-address | cut -d' ' -f1)
export RAY_ADDRESS=$host:$((20000 + SLURM_JOB_ID % 10000))  # jobs that share a node do not meet

node=(--block --disable-usage-stats --temp-dir="/tmp/ray-$SLURM_JOB_ID"
    --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}"
    --object-store-memory="${OBJECT_STORE:-4000000000}")
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
"${on_head[@]}" ray start --head --node-ip-address="$host" --port="${RAY_ADDRESS##*:}" \
    --include-dashboard=false "${node[@]}" > "ray-$SLURM_JOB_ID.log" 2>&1 &
timeout 300 bash -c 'until ray health-check --address "$RAY_ADDRESS"; do sleep 2; done' \
    2> /dev/null || { echo "no head: see ray-$SLURM_JOB_ID.log" >&2; exit 1; }
others=$((SLURM_JOB_NUM_NODES - 1))
if ((others)); then
    srun --overlap --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --address="$RAY_ADDRESS" "${node[@]}" >> "ray-$SLURM_JOB_ID.log" 2>&1 &
fi
"${on_head[@]}" fade-ray "$@"
