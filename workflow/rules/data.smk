# From params.yaml to images, statistics and references.


rule plan:
    input:
        stale=stale("plan"),
    output:
        plan="results/plan.json",
        record="results/records/plan.json",
    log:
        "logs/plan.log",
    message:
        "plan"
    shell:
        "python -m dctdiff.stages.plan --params params.yaml --out_plan {output.plan}"
        " --out_record {output.record}"


rule download:
    input:
        stale=stale("download"),
    output:
        source="data/{dataset}/source.zip",
        record="results/records/download/{dataset}.json",
    log:
        "logs/download/{dataset}.log",
    params:
        arguments=arguments("download"),
    message:
        "download {wildcards.dataset}"
    shell:
        "python -m dctdiff.stages.download {params.arguments} --out_source {output.source}"
        " --out_record {output.record}"


rule crop:
    input:
        source="data/{dataset}/source.zip",
        stale=stale("crop"),
    output:
        train="data/{dataset}/train.zip",
        heldout="data/{dataset}/heldout.zip",
        grid=shown(
            "results/grids/datasets/{dataset}.png",
            "Grids",
            "datasets",
            dataset="{dataset}",
        ),
        record="results/records/crop/{dataset}.json",
    log:
        "logs/crop/{dataset}.log",
    priority: 10
    resources:
        **resources("crop"),
    params:
        arguments=arguments("crop"),
    message:
        asking("crop {wildcards.dataset}")
    shell:
        "python -m dctdiff.stages.crop --source {input.source} {params.arguments}"
        " --out_train {output.train} --out_heldout {output.heldout} --out_grid {output.grid}"
        " --out_record {output.record}"


rule pack:
    input:
        images="data/{dataset}/train.zip",
        stale=stale("pack"),
    output:
        pixels="data/{dataset}/train.npy",
        record="results/records/pack/{dataset}.json",
    log:
        "logs/pack/{dataset}.log",
    priority: 10
    resources:
        **resources("pack"),
    message:
        asking("pack {wildcards.dataset}")
    shell:
        "python -m dctdiff.stages.pack --images {input.images} --out_pixels {output.pixels}"
        " --out_record {output.record}"


rule latents:
    input:
        images=training_images(codec_slice),
        stale=stale("latents"),
    output:
        latents="results/latents/{codec}.npy",
        record="results/records/latents/{codec}.json",
    log:
        "logs/latents/{codec}.log",
    priority: 10
    resources:
        **resources("latents"),
    params:
        arguments=arguments("latents"),
    message:
        asking("latents {wildcards.codec}")
    shell:
        "python -m dctdiff.stages.latents --images {input.images} {params.arguments}"
        " --out_latents {output.latents}"
        " --out_record {output.record}"


rule statistics:
    input:
        images=training_images(codec_slice),
        latents=codec_latents,
        stale=stale("statistics"),
    output:
        statistics="results/statistics/codecs/{codec}.json",
        record="results/records/statistics/{codec}.json",
    log:
        "logs/statistics/{codec}.log",
    priority: 10
    resources:
        **resources("statistics"),
    params:
        arguments=arguments("statistics"),
    message:
        asking("statistics {wildcards.codec}")
    shell:
        "python -m dctdiff.stages.statistics --images {input.images} --latents results/latents/{wildcards.codec}.npy"
        " {params.arguments}"
        " --out_statistics {output.statistics}"
        " --out_record {output.record}"


rule spectrum:
    input:
        images=training_images(spectrum_slice),
        statistics=codec_statistics(spectrum_slice),
        stale=stale("spectrum"),
    output:
        spectrum="results/statistics/spectra/{spectrum}.json",
        record="results/records/spectrum/{spectrum}.json",
    log:
        "logs/spectrum/{spectrum}.log",
    resources:
        **resources("spectrum"),
    params:
        arguments=arguments("spectrum"),
    message:
        asking("spectrum {wildcards.spectrum}")
    shell:
        "python -m dctdiff.stages.spectrum --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_spectrum {output.spectrum}"
        " --out_record {output.record}"


rule reference:
    input:
        images=reference_images,
        stale=stale("reference"),
    output:
        reference="data/{dataset}/reference.npz",
        record="results/records/reference/{dataset}.json",
    log:
        "logs/reference/{dataset}.log",
    wildcard_constraints:
        dataset=among(SUITE["datasets"]),
    resources:
        **resources("reference"),
    params:
        arguments=arguments("reference"),
        launcher=launcher,
    message:
        asking("reference {wildcards.dataset}")
    shell:
        "{params.launcher}python -m dctdiff.stages.reference --images data/{wildcards.dataset}/train.zip {params.arguments}"
        " --out_reference {output.reference}"
        " --out_record {output.record}"


rule import_reference:
    input:
        stale=stale("import_reference"),
    output:
        reference="data/{dataset}/reference.npz",
        record="results/records/import_reference/{dataset}.json",
    log:
        "logs/import_reference/{dataset}.log",
    wildcard_constraints:
        dataset=among(SUITE["references"]),
    params:
        arguments=arguments("import_reference"),
    message:
        "import_reference {wildcards.dataset}"
    shell:
        "python -m dctdiff.stages.import_reference {params.arguments} --out_reference {output.reference}"
        " --out_record {output.record}"


ruleorder: import_reference > reference
