# The index of the workflow. Rules stand by theme in workflow/rules; each rule, its DVC stage and
# its module under src/dctdiff/stages share a name.

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/results.smk"


report: "workflow/report/workflow.rst"


onstart:
    expect(
        (job.rule.name, *job.wildcards)
        for job in workflow.dag.needrun_jobs()
        if job.shellcmd
    )


# Under a scheduler these run where Snakemake does: they need the net, or seconds.
localrules:
    all,
    plan,
    download,
    import_reference,
    import_weights,
    tables,
    report,


rule all:
    default_target: True
    input:
        "results/report/index.html",
        TABLES,
    message:
        "the report and the tables"
