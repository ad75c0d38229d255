"""Labels: what is true about frames, in a dataset's folder, and in the formats of other tools.

=================  ====================================================================================
``truth``          what is true about one frame
``dataset``        the folder: read and written whole, checked to the last byte
``check``          everything that is wrong with a dataset
``splits``         train, val and test by observation and orbit; what leaks between them
``coco labelme``   formats of other tools, each read and written
``index_mask``
``limb_plume``
``importing``      label files + archive frames -> dataset, and back
``draft``          what the detector finds, as labels to correct
=================  ====================================================================================
"""

from training.labels.check import check_dataset
from training.labels.coco import DATASET_VERSION
from training.labels.dataset import TRUTH_COLUMNS, Dataset, DatasetWriter, read_dataset, write_lock
from training.labels.truth import FAINT_SNR, SECTOR_TOP, LabelledFrame, LimbInterval, Truth, sector

__all__ = [
    "DATASET_VERSION",
    "FAINT_SNR",
    "SECTOR_TOP",
    "TRUTH_COLUMNS",
    "Dataset",
    "DatasetWriter",
    "LabelledFrame",
    "LimbInterval",
    "Truth",
    "check_dataset",
    "read_dataset",
    "sector",
    "write_lock",
]
