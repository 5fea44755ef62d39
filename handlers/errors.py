"""Errors of what runs in the TorchServe worker.

HandlerError                    exit code 1
    RequestRejectedError                one request or image is answered with it; exit code 2
        PhotoError              the bytes of one image
            EmptyBodyError              400 empty_body
            UndecodableImageError       400 undecodable_image
            ImageTooLargeError          413 image_too_large
            UnsupportedMediaTypeError   415 unsupported_media_type
        InvalidRequestError     400 invalid_request
            InvalidTopKError            400 invalid_top_k
        DeadlineExceededError   504 deadline_exceeded
        VersionRetiredError     404 version_retired
        ServerStoppingError     503 server_stopping
        InternalError           500 internal (ours; exit code 1)
    ArchiveError                the archive cannot be served; exit code 2
        ModelCardError          model_card.json
        PreprocessingError      a preprocessing value outside what is allowed
        ArchitectureError       no such architecture, or none whose head is found
        WeightsError            weights.safetensors
        SettingsError           the `handler:` section of model-config.yaml
        ProbeError              the probes cannot be read, or disagree beyond the tolerance
"""

from handlers.contract import SERVER_STOPPING, VERSION_RETIRED


class HandlerError(Exception):
    exit_code = 1


class RequestRejectedError(HandlerError):
    """An answer that is no prediction: an HTTP status, a code for programs, a text for people."""

    exit_code = 2
    status: int = 400
    code: str = "invalid_request"


class PhotoError(RequestRejectedError):
    pass


class EmptyBodyError(PhotoError):
    code = "empty_body"


class UndecodableImageError(PhotoError):
    code = "undecodable_image"


class ImageTooLargeError(PhotoError):
    status = 413
    code = "image_too_large"


class UnsupportedMediaTypeError(PhotoError):
    status = 415
    code = "unsupported_media_type"


class InvalidRequestError(RequestRejectedError):
    pass


class InvalidTopKError(InvalidRequestError):
    code = "invalid_top_k"


class DeadlineExceededError(RequestRejectedError):
    status = 504
    code = "deadline_exceeded"


class VersionRetiredError(RequestRejectedError):
    status = 404
    code = VERSION_RETIRED

    def __init__(self) -> None:
        super().__init__("this version is being unloaded; ask another one, or none in particular.")


class ServerStoppingError(RequestRejectedError):
    status = 503
    code = SERVER_STOPPING

    def __init__(self) -> None:
        super().__init__("this server is stopping; ask again, it or another one will answer.")


class InternalError(RequestRejectedError):
    exit_code = 1
    status = 500
    code = "internal"


class ArchiveError(HandlerError):
    exit_code = 2


class ModelCardError(ArchiveError):
    pass


class PreprocessingError(ArchiveError):
    pass


class ArchitectureError(ArchiveError):
    pass


class WeightsError(ArchiveError):
    pass


class SettingsError(ArchiveError):
    pass


class ProbeError(ArchiveError):
    pass
