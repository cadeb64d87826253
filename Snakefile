# notebooks/experiments.yml -> papermill runs -> results pages -> the book.
#
#     snakemake --cores all book                          everything the book needs, at scale cpu
#     snakemake --cores all runs --config scale=gpu       the runs of one scale; only=NAME or only=TAG chooses among them
#
# Each run is one job with one file to show for it, done-KEY, which appears after run.json and only when the notebook ran
# to its end. KEY is the digest of all that the run depends on (notebook, parameters, data, the ganbook code it imports),
# so a run is made again when one of these changed and never because of a date or a lost .snakemake. What a failed run
# leaves (notebook.ipynb, run.log, failure.txt) is no declared output and so stays where it is.
import json
import sys
from pathlib import Path

from book.tools import build
from ganbook.batch import SCALES, chosen, load_experiments, markers, plan, theory_runs
from ganbook.errors import GanbookError
from snakemake.exceptions import WorkflowError

SCALE = config.get("scale", "cpu")
PYTHON = sys.executable

try:
    CHAPTERS = theory_runs()
    EXPERIMENTS = load_experiments()
    EXPERIMENT_RUNS = plan(EXPERIMENTS, SCALE)
    ONLY = set(chosen(EXPERIMENTS, str(config.get("only", ""))))
    RUNS = {str(run.folder): run for run in CHAPTERS + EXPERIMENT_RUNS}
    DONE = dict(zip(RUNS, markers(RUNS.values()), strict=True))
except GanbookError as error:
    raise WorkflowError(str(error)) from None

BOOK = build.Paths.at(SCALE)


def planned(wildcards):
    """The run that a folder stands for."""
    return RUNS[f"runs/{wildcards.scale}/{wildcards.experiment}/{wildcards.run_id}"]


localrules: book, runs, stage, html


rule book:
    default_target: True
    input: BOOK.done


rule runs:
    input: [DONE[str(run.folder)] for run in EXPERIMENT_RUNS if run.experiment in ONLY]


rule run:
    output: touch("runs/{scale}/{experiment}/{run_id}/done-{key}")
    wildcard_constraints:
        scale="|".join((*SCALES, "theory")),
        key="[0-9a-f]{16}",
    params:
        notebook=lambda wildcards: str(planned(wildcards).notebook),
        folder=lambda wildcards: str(planned(wildcards).folder),
        parameters=lambda wildcards: json.dumps(dict(planned(wildcards).parameters)),
        limit=lambda wildcards: f"--minutes {m}" if (m := planned(wildcards).resources.minutes) else "",
    threads: 1
    resources:
        gpu=lambda wildcards: planned(wildcards).resources.gpu,
        mem_mb=lambda wildcards: int(1024 * planned(wildcards).resources.memory) or 4096,
        runtime=lambda wildcards: int(m * 1.1) + 5 if (m := planned(wildcards).resources.minutes) else 24 * 60,
    shell: "{PYTHON} -m ganbook.batch_cli run {params.notebook:q} --out {params.folder:q} --once"
        " --parameters {params.parameters:q} --threads {threads} --gpus {resources.gpu} {params.limit}"


rule stage:
    input:
        list(DONE.values()),
        build.inputs(SCALE),
    output: BOOK.manifest
    params: scale=SCALE
    shell: "{PYTHON} -m book.tools.build stage {params.scale}"


rule html:
    input: BOOK.manifest
    output: BOOK.done
    params: scale=SCALE
    shell: "{PYTHON} -m book.tools.build html {params.scale}"
