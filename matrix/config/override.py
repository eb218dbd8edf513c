"""Training settings for some combinations of the matrix only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, GetPydanticSchema, create_model

from bench.contract.base import Document
from bench.contract.training import Training
from matrix.config.values import Labels

_fields: dict[str, Any] = {
    name: (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation,
        Field(None, description=field.description),
    )
    for name, field in Training.model_fields.items()
}
_SOME_TRAINING: type[Document] = create_model("SomeTraining", __base__=Document, **_fields)
"""Any fields of `Training`; the default None marks a field that is not given."""


class Override(Document):
    """A change of `training` for matching combinations."""

    when: dict[str, Labels] = Field(
        min_length=1, description="which combinations: axis and value or list of values; all must match"
    )
    set: Annotated[Document, GetPydanticSchema(lambda _, handler: handler(_SOME_TRAINING))] = Field(
        description="fields of `training` that are not axes"
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that are set, with their values."""
        return self.set.model_dump(exclude_unset=True)
