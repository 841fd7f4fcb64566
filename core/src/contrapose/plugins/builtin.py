"""The core's own components, offered through the hooks that plugins use. Add a line to offer one more."""

from __future__ import annotations

from contrapose.plugins.hookspecs import hookimpl
from contrapose.plugins.presets import PRESETS
from contrapose.plugins.spec import API, Spec

CONTRAPOSE_API = API


@hookimpl
def register_view_generators() -> list[Spec]:
    """Views of any modality."""
    return [
        Spec("identity", "contrapose.views.identity:Identity", "the sample as it is"),
        Spec(
            "mix",
            "contrapose.views.mix:Mix",
            "pairs of a batch's samples mixed",
            paper="Kim et al. 2020, arXiv:2010.06300",
        ),
    ]


@hookimpl
def register_heads() -> list[Spec]:
    """Projectors and predictors."""
    return [
        Spec("mlp", "contrapose.branches.heads:MLP", "linear layers with BatchNorm and ReLU between them"),
        Spec("linear", "contrapose.branches.heads:Linear", "one linear layer"),
        Spec(
            "slice", "contrapose.branches.heads:Slice", "the first entries", paper="Jing et al. 2022, arXiv:2110.09348"
        ),
        Spec(
            "forecast",
            "contrapose.branches.forecast:Forecast",
            "a sequence so far predicts its next positions",
            paper="van den Oord et al. 2018, arXiv:1807.03748",
        ),
    ]


@hookimpl
def register_loss_heads() -> list[Spec]:
    """Pair, set and head losses."""
    return [
        Spec("nce", "contrapose.losses.nce:NCE", "contrast positives with a denominator: the NCE family"),
        Spec(
            "cosine",
            "contrapose.losses.simple:Cosine",
            "squared distance of unit vectors, positives alone",
            paper="Grill et al. 2020, arXiv:2006.07733",
        ),
        Spec(
            "sigmoid",
            "contrapose.losses.simple:Sigmoid",
            "every pair a binary choice",
            paper="Zhai et al. 2023, arXiv:2303.15343",
        ),
        Spec(
            "barlow-twins",
            "contrapose.losses.sets:BarlowTwins",
            "cross-correlation to the identity",
            paper="Zbontar et al. 2021, arXiv:2103.03230",
        ),
        Spec(
            "vicreg",
            "contrapose.losses.sets:VICReg",
            "invariance, variance, covariance",
            paper="Bardes et al. 2022, arXiv:2105.04906",
        ),
        Spec(
            "margin",
            "contrapose.losses.simple:Margin",
            "positives near, negatives beyond a margin",
            paper="Hadsell et al. 2006, CVPR",
        ),
        Spec(
            "max-margin",
            "contrapose.losses.maxmargin:MaxMargin",
            "each sample against the support vectors that hold it apart",
            paper="Shah et al. 2022, arXiv:2112.11450",
        ),
        Spec(
            "nuclear-norm",
            "contrapose.losses.sets:NuclearNorm",
            "minus the sum of a table's singular values",
            paper="Yerxa et al. 2023, arXiv:2303.03307",
        ),
        Spec("squared-length", "contrapose.losses.sets:SquaredLength", "the mean squared length of a table's vectors"),
        Spec(
            "metric-learning",
            "contrapose.losses.metric:MetricLearning",
            "any loss of pytorch-metric-learning, which it needs: triplet, proxy, angular and dozens more",
        ),
        Spec(
            "reconstruct",
            "contrapose.losses.head:Reconstruct",
            "predict a view's values, or which of them changed",
            paper="Yoon et al. 2020 (VIME)",
        ),
    ]


@hookimpl
def register_relations() -> list[Spec]:
    """Computed relations: assignments and mining."""
    return [
        Spec(
            "softmax",
            "contrapose.relations.assign:Softmax",
            "a teacher's centred softmax over prototypes",
            paper="Caron et al. 2021, arXiv:2104.14294",
        ),
        Spec(
            "sinkhorn",
            "contrapose.relations.assign:Sinkhorn",
            "a balanced assignment to prototypes",
            paper="Caron et al. 2020, arXiv:2006.09882",
        ),
        Spec(
            "match",
            "contrapose.relations.annotate:Match",
            "the position of the nearest key",
            paper="Wang et al. 2021, arXiv:2011.09157",
        ),
        Spec(
            "top-k",
            "contrapose.relations.mining:TopK",
            "the keys nearest to each sample",
            paper="Huynh et al. 2022, arXiv:2011.11765; Han et al. 2020, arXiv:2010.09709",
        ),
        Spec(
            "von-mises",
            "contrapose.relations.annotate:VonMises",
            "hard positives attract more",
            paper="Yeh et al. 2022, arXiv:2110.06848",
        ),
    ]


@hookimpl
def register_sources() -> list[Spec]:
    """Keys beyond the batch."""
    return [
        Spec(
            "queue",
            "contrapose.sources.queue:Queue",
            "the last rows of a table",
            paper="He et al. 2020, arXiv:1911.05722",
        ),
        Spec(
            "prototypes",
            "contrapose.sources.prototypes:Prototypes",
            "learnt vectors",
            paper="Caron et al. 2020, arXiv:2006.09882",
        ),
        Spec("ema", "contrapose.sources.prototypes:Average", "the moving average of another source's parameters"),
        Spec(
            "centres",
            "contrapose.sources.prototypes:ClassCentres",
            "a learnt vector and log prior for each class",
            paper="Cui et al. 2021, arXiv:2107.12028",
        ),
        Spec(
            "centroids",
            "contrapose.sources.centroids:Centroids",
            "cluster centres of the training set, anew each epoch",
            paper="Li et al. 2021, arXiv:2005.04966",
        ),
        Spec(
            "synthetic",
            "contrapose.sources.derived:Synthetic",
            "hard negatives mixed for each query",
            paper="Kalantidis et al. 2020, arXiv:2010.01028",
        ),
        Spec(
            "bank",
            "contrapose.sources.bank:Bank",
            "a slowly moving entry for every sample",
            paper="Wu et al. 2018, arXiv:1805.01978",
        ),
        Spec("drawn", "contrapose.sources.drawn:Drawn", "some of a table's rows, at random"),
        Spec(
            "extrapolated",
            "contrapose.sources.transformed:Extrapolated",
            "positive pairs pushed apart",
            paper="Zhu et al. 2021, arXiv:2108.02982",
        ),
        Spec(
            "interpolated",
            "contrapose.sources.transformed:Interpolated",
            "a table's rows mixed with each other",
            paper="Zhu et al. 2021, arXiv:2108.02982",
        ),
        Spec(
            "hardest-mixes",
            "contrapose.sources.mixes:HardestMixes",
            "the hardest mixes of easy negatives with others",
            paper="Zhong et al. 2021, arXiv:2106.10731",
        ),
        Spec("mean", "contrapose.sources.derived:Mean", "the mean of a sample's rows"),
        Spec("aligned", "contrapose.sources.aligned:Aligned", "several tables, row for row of the same samples"),
        Spec("union", "contrapose.sources.union:Union", "several tables as one"),
        Spec(
            "combinations",
            "contrapose.sources.combinations:Combinations",
            "products of vectors of different samples",
            paper="Saporta et al. 2024, arXiv:2411.01053",
        ),
        Spec("stack", "contrapose.sources.derived:Stack", "tuples of several tables' vectors"),
        Spec(
            "product",
            "contrapose.sources.derived:Product",
            "the elementwise product of several tables",
            paper="Saporta et al. 2024, arXiv:2411.01053",
        ),
    ]


@hookimpl
def register_readers() -> list[Spec]:
    """Datasets that any modality can live in."""
    return [
        Spec("manifest", "contrapose.data.manifest:ManifestReader", "a table (Parquet, CSV, JSONL), one thing a row"),
        Spec("folder", "contrapose.data.folder:FolderReader", "files, joined into one thing by their stem"),
        Spec("packed", "contrapose.data.packed:PackedReader", "a folder that contrapose pack wrote"),
        Spec("webdataset", "contrapose.data.tarstream:webdataset", "tar shards, joined into one thing by their stem"),
        Spec("hf", "contrapose.data.hf:hugging_face", "a dataset that the package datasets reads"),
        Spec("several", "contrapose.data.several:SeveralReader", "several datasets, with different modalities, as one"),
    ]


@hookimpl
def register_evaluators() -> list[Spec]:
    """What a trained run is measured by."""
    at = "contrapose.evaluate.builtin"
    return [
        Spec("retrieval", f"{at}:retrieval", "R@1/5/10 and median rank from each modality to each other"),
        Spec("knn", f"{at}:nearest_neighbours", "weighted cosine 20-NN accuracy", paper="Wu et al., CVPR 2018"),
        Spec("linear", f"{at}:linear_probe", "linear probe accuracy"),
        Spec("svm", f"{at}:linear_svm", "linear SVM accuracy"),
        Spec(
            "label-retrieval",
            f"{at}:label_retrieval",
            "R@1/5/10/20/50 of a query's class in the train split",
            paper="Han et al., CoCLR, NeurIPS 2020, arXiv:2010.09709",
        ),
        Spec(
            "geometry",
            f"{at}:geometry",
            "effective rank, uniformity, alignment, modality gap",
            paper="Wang & Isola, ICML 2020; Garrido et al., ICML 2023; Liang et al., NeurIPS 2022",
        ),
    ]


@hookimpl
def register_methods() -> list[Spec]:
    """Method presets over named slots."""
    return PRESETS


@hookimpl
def register_loggers() -> list[Spec]:
    """Where a run's numbers go."""
    return [Spec("tensorboard", "contrapose.engine.loggers:TensorBoard", "event files in the run folder")]
