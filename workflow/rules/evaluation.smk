# Distances of samples; the floors: held-out images, as they are and through each codec; and what
# may be dropped or doubled without a model: m* and DCT upsampling.


rule round_trip:
    input:
        images=heldout_images,
        statistics="results/statistics/codecs/{codec}.json",
        stale=stale("round_trip"),
    output:
        images="results/round_trip/{codec}.zip",
        record="results/records/round_trip/{codec}.json",
    log:
        "logs/round_trip/{codec}.log",
    resources:
        **resources("round_trip"),
    params:
        arguments=arguments("round_trip"),
    message:
        asking("round_trip {wildcards.codec}")
    shell:
        "python -m dctdiff.stages.round_trip --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_images {output.images}"
        " --out_record {output.record}"


rule evaluate_heldout:
    input:
        images="data/{dataset}/heldout.zip",
        reference="data/{dataset}/reference.npz",
        stale=stale("evaluate_heldout"),
    output:
        evaluation="results/evaluations/heldout/{dataset}.json",
        record="results/records/evaluate_heldout/{dataset}.json",
    log:
        "logs/evaluate_heldout/{dataset}.log",
    resources:
        **resources("evaluate_heldout"),
    params:
        arguments=arguments("evaluate_heldout"),
        launcher=launcher,
    message:
        asking("evaluate_heldout {wildcards.dataset}")
    shell:
        "{params.launcher}python -m dctdiff.stages.evaluate --images {input.images} --reference {input.reference}"
        " {params.arguments} --out_evaluation {output.evaluation}"
        " --out_record {output.record}"


use rule evaluate_heldout as evaluate_round_trip with:
    input:
        images="results/round_trip/{codec}.zip",
        reference=reference_of(codec_slice, "dataset"),
        stale=stale("evaluate_round_trip"),
    output:
        evaluation="results/evaluations/round_trip/{codec}.json",
        record="results/records/evaluate_round_trip/{codec}.json",
    log:
        "logs/evaluate_round_trip/{codec}.log",
    resources:
        **resources("evaluate_round_trip"),
    message:
        asking("evaluate_round_trip {wildcards.codec}")


use rule evaluate_heldout as evaluate with:
    input:
        images="results/samples/{cell}.zip",
        reference=reference_of(cell_slice, "reference"),
        stale=stale("evaluate"),
    output:
        evaluation="results/evaluations/cells/{cell}.json",
        record="results/records/evaluate/{cell}.json",
    log:
        "logs/evaluate/{cell}.log",
    resources:
        **resources("evaluate"),
    message:
        asking("evaluate {wildcards.cell}")


rule truncation:
    input:
        images=training_images(truncation_slice),
        stale=stale("truncation"),
    output:
        truncation="results/evaluations/truncations/{truncation}.json",
        grid=shown(
            "results/grids/truncations/{truncation}.png",
            "Grids",
            "truncations",
            truncation="{truncation}",
        ),
        record="results/records/truncation/{truncation}.json",
    log:
        "logs/truncation/{truncation}.log",
    resources:
        **resources("truncation"),
    params:
        arguments=arguments("truncation"),
    message:
        asking("truncation {wildcards.truncation}")
    shell:
        "python -m dctdiff.stages.truncation --images {input.images} {params.arguments}"
        " --out_truncation {output.truncation} --out_grid {output.grid}"
        " --out_record {output.record}"


rule upsampling:
    input:
        images=training_images(upsampling_slice),
        stale=stale("upsampling"),
    output:
        upsampling="results/evaluations/upsamplings/{upsampling}.json",
        grid=shown(
            "results/grids/upsamplings/{upsampling}.png",
            "Grids",
            "upsamplings",
            upsampling="{upsampling}",
        ),
        record="results/records/upsampling/{upsampling}.json",
    log:
        "logs/upsampling/{upsampling}.log",
    resources:
        **resources("upsampling"),
    params:
        arguments=arguments("upsampling"),
    message:
        asking("upsampling {wildcards.upsampling}")
    shell:
        "python -m dctdiff.stages.upsampling --images {input.images} {params.arguments}"
        " --out_upsampling {output.upsampling} --out_grid {output.grid}"
        " --out_record {output.record}"
