"""Simulate a data set on a SLURM cluster, with workers that dask-jobqueue asks the queue for.

    python examples/slurm/simulate.py RECIPE.toml --out /shared/data/NAME --jobs 20

Needs ``pip install 'mantid_exp2sim[scale]' dask-jobqueue`` and a folder that all nodes see. Fill in the
partition and the account of your cluster. This recipe follows the documentation of dask-jobqueue and has
not been run on a cluster; the same code on a local Dask cluster is part of the tests.

Killed or out of time, give the same command again: finished shards stay.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dask_jobqueue import SLURMCluster

from mantid_exp2sim.training.datasets.dask import on_dask
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--cores", type=int, default=32, help="per job")
    parser.add_argument("--partition", default="compute")
    parser.add_argument("--account")
    args = parser.parse_args()
    cluster = SLURMCluster(
        queue=args.partition,
        account=args.account,
        cores=args.cores,
        processes=args.cores,  # one thread each: the simulation is many small problems
        memory=f"{args.cores} GB",
        walltime="04:00:00",
        job_script_prologue=["export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"],
    )
    with cluster:
        cluster.scale(jobs=args.jobs)
        summary = simulate_dataset(
            read_recipe(args.recipe),
            args.out,
            cluster=on_dask(cluster.scheduler_address),
            progress=lambda done, total, _: print(f"{done}/{total}", flush=True),
        )
    print(summary)


if __name__ == "__main__":
    main()
