"""Errors of what runs in a TorchServe worker.

HandlerError                        exit code 1
    RequestRejectedError            the response to a request or to one of its images; exit code 2
        PhotoError                  the bytes of one image
            EmptyBodyError              400 empty_body
            UndecodableImageError       400 undecodable_image
            ImageTooLargeError          413 image_too_large
            UnsupportedMediaTypeError   415 unsupported_media_type
        InvalidRequestError         400 invalid_request
            InvalidTopKError            400 invalid_top_k
            InvalidTensorError          400 invalid_request, in the form of the Open Inference Protocol
        DeadlineExceededError       504 deadline_exceeded
        VersionRetiredError         404 version_retired
        ServerStoppingError         503 server_stopping
        InternalError               500 internal (a fault of ours; exit code 1)
    ArchiveContentError             the archive cannot be served; exit code 2
        ModelCardError              model_card.json
        PreprocessingError          a preprocessing value out of range
        ArchitectureError           an unknown architecture, or one whose head is not a single linear layer
        WeightsError                weights.safetensors or unknown.safetensors
        HandlerSettingsError        the `handler:` section of model-config.yaml
        ProbeError                  the probes cannot be read, or the served network disagrees with them
"""

from handlers.contract import SERVER_STOPPING, VERSION_RETIRED


class HandlerError(Exception):
    exit_code = 1


class RequestRejectedError(HandlerError):
    """A response without a prediction: an HTTP status, a code for programs and a message for people."""

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


class InvalidTensorError(InvalidRequestError):
    pass


class DeadlineExceededError(RequestRejectedError):
    status = 504
    code = "deadline_exceeded"


class VersionRetiredError(RequestRejectedError):
    status = 404
    code = VERSION_RETIRED

    def __init__(self) -> None:
        super().__init__(
            "this version is being unloaded; send the request to another version, or name none."
        )


class ServerStoppingError(RequestRejectedError):
    status = 503
    code = SERVER_STOPPING

    def __init__(self) -> None:
        super().__init__("this server is shutting down; send the request again, or to another one.")


class InternalError(RequestRejectedError):
    exit_code = 1
    status = 500
    code = "internal"


class ArchiveContentError(HandlerError):
    exit_code = 2


class ModelCardError(ArchiveContentError):
    pass


class PreprocessingError(ArchiveContentError):
    pass


class ArchitectureError(ArchiveContentError):
    pass


class WeightsError(ArchiveContentError):
    pass


class HandlerSettingsError(ArchiveContentError):
    pass


class ProbeError(ArchiveContentError):
    pass
