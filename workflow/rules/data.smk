# From params.yaml to images, statistics and references.


rule plan:
    input:
        code=code("plan"),
    output:
        valid="results/plan.valid",
        plan="results/plan.json",
    params:
        suite=SUITE,
    shell:
        "python -m dctdiff.stages.plan --params params.yaml"
        " --out_valid {output.valid} --out_plan {output.plan}"


rule download:
    input:
        code=code("download"),
        # Its content never changes, so a checked edit elsewhere does not download again.
        valid=ancient("results/plan.valid"),
    output:
        source="data/{dataset}/source.zip",
    params:
        download=dataset_slice("download"),
        arguments=written(dataset_slice("download")),
    shell:
        "python -m dctdiff.stages.download --valid {input.valid} {params.arguments}"
        " --out_source {output.source}"


rule crop:
    input:
        code=code("crop"),
        source="data/{dataset}/source.zip",
    output:
        train="data/{dataset}/train.zip",
        heldout="data/{dataset}/heldout.zip",
        grid="results/grids/datasets/{dataset}.png",
    params:
        crop=dataset_slice("crop"),
        arguments=written(dataset_slice("crop")),
    priority: 10
    shell:
        "python -m dctdiff.stages.crop --source {input.source} {params.arguments}"
        " --out_train {output.train} --out_heldout {output.heldout} --out_grid {output.grid}"


rule statistics:
    input:
        code=code("statistics"),
        images=training_images(codec_slice),
    output:
        statistics="results/statistics/{codec}.json",
    params:
        codec=codec_slice,
        arguments=written(codec_slice),
    priority: 10
    shell:
        "python -m dctdiff.stages.statistics --images {input.images} {params.arguments}"
        " --out_statistics {output.statistics}"


rule reference:
    input:
        code=code("reference"),
        images="data/{dataset}/train.zip",
    output:
        reference="data/{dataset}/reference.npz",
    params:
        reference=dataset_slice("reference"),
        extractor=SUITE["extractor"],
        arguments=written(dataset_slice("reference")),
        extractor_arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.reference --images {input.images} {params.arguments}"
        " {params.extractor_arguments} --out_reference {output.reference}"
