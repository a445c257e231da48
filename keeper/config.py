"""The operator's settings: environment variables with the prefix ``ORION_``, each with a safe default."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from keeper.domain.errors import InputError
from keeper.domain.units import Address, to_address

CHECKOUT = Path(__file__).resolve().parent.parent


class Mode(StrEnum):
    """What the signer may do."""

    PAPER = "paper"
    """Nothing is signed: plans are proven by simulation and recorded."""
    REPLICA = "replica"
    """Signs with the development key, for a chain on loopback only."""
    LIVE = "live"
    """Signs with the operator's key. Has to be asked for by name."""


class Settings(BaseSettings):
    """Every setting of the keeper.

    Read from the environment (``ORION_DATABASE_URL`` and so on); the command line overrides single fields.
    """

    model_config = SettingsConfigDict(env_prefix="ORION_", extra="ignore", frozen=True)

    home: Path = Field(CHECKOUT / ".orion", description="folder of caches, state and logs")
    network: str = Field("replica", description="`replica`, or an ape choice such as `ethereum:mainnet`")
    rpc_url: str | None = Field(None, repr=False, description="HTTP endpoint of the node; the replica's when unset")
    ws_url: str | None = Field(None, repr=False, description="websocket endpoint; derived from rpc_url when unset")
    chain_id: int = Field(1, gt=0)
    database_url: str | None = Field(None, repr=False, description="PostgreSQL; a private server when unset")
    redis_url: str | None = Field(None, repr=False, description="Redis protocol; a private server when unset")
    relay_urls: tuple[str, ...] = Field((), repr=False, description="bundle endpoints; the local relay on the replica")
    relay_key: SecretStr | None = Field(None, description="key that signs relay requests; never holds funds")
    relay_backend: Literal["keeper", "flashbots"] = Field(
        "keeper", description="our own relay client, or the flashbots package in its place"
    )
    mode: Mode = Mode.PAPER
    account: str | None = Field(None, description="signs in mode `live`: an ape account or the path of a keystore file")
    account_passphrase: SecretStr | None = Field(None, description="of the account; asked for when unset")
    executor: Address | None = Field(None, description="executor contract; read from its deployment when unset")
    pools_file: Path | None = Field(None, description="JSON list of pools; the replica's own when unset")
    factories_file: Path | None = Field(None, description="JSON list of factories whose events name further pools")
    tokens_file: Path | None = Field(None, description="JSON list of tokens, for their names and decimals")
    strategies: tuple[str, ...] = Field(("cross_dex", "triangular"), description="which strategies run")

    weth: Address = Field(Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"), description="wrapped native coin")
    min_profit_wei: int = Field(10**14, ge=0, description="smallest net profit worth sending, wei")
    max_gas_share_bps: int = Field(5_000, ge=0, le=10_000, description="gas cost at most this share of gross")
    bid_bps: int = Field(2_000, ge=0, lt=10_000, description="share of the profit bid to the builder, basis points")
    builder_payment: Literal["priority_fee", "coinbase"] = Field(
        "priority_fee",
        description="pay the bid by gas price, of what the base fee leaves; or to the block's fee recipient within the "
        "transaction, of the profit before gas",
    )
    parent_guard: bool = Field(False, description="let a transaction run only on the block it was proven on")
    access_list: bool = Field(True, description="declare what a transaction touches where that saves gas")
    dodo_pools: tuple[Address, ...] = Field((), description="DODO pools that may lend, beside the known ones")
    max_loan_wei: int = Field(10_000 * 10**18, gt=0, description="largest loan of one trade, wei")
    max_reverts: int = Field(3, gt=0, description="reverted transactions in a row that stop trading")
    max_plans_per_block: int = Field(8, gt=0, description="transactions sent for one block")
    token_probe: bool = Field(True, description="keep pools out whose tokens do not pass a simulated round trip")
    journal_depth: int = Field(64, gt=0, description="blocks that the book can undo")
    checkpoint_blocks: int = Field(100, ge=0, description="blocks between copies of the book on disk; 0 keeps none")
    checkpoint_reach: int = Field(600, ge=0, description="age in blocks up to which a copy is followed, not read again")
    check_blocks: int = Field(50, ge=0, description="blocks between comparisons of pools with the chain; 0 for never")
    check_pools: int = Field(20, gt=0, description="pools, drawn at random, in one comparison")
    rates_blocks: int = Field(5, ge=0, description="blocks between readings of rates, which move without events")
    confirmations: int = Field(1, gt=0, description="blocks, the trade's own included, after which it is booked")
    reinvestment_bps: int = Field(
        5_000, ge=0, le=10_000, description="share of each net profit that becomes trading capital, basis points"
    )
    panel_port: int = Field(7860, ge=0, lt=65_536, description="0 picks a free one")

    @field_validator("executor", "weth", mode="before")
    @classmethod
    def _checksummed(cls, value: object) -> object:
        return None if value is None else to_address(value, "address")

    @field_validator("dodo_pools", mode="before")
    @classmethod
    def _all_checksummed(cls, value: object) -> object:
        return [to_address(one, "address") for one in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _replica_mode_stays_home(self) -> Self:
        if self.mode is Mode.REPLICA and self.network != "replica":
            raise ValueError("mode `replica` goes with network `replica` only; use `paper` or `live`")
        return self

    def public(self) -> dict[str, object]:
        """Every setting by name, ready for JSON; of a secret one only whether it is set, and wei as decimal strings."""
        shown: dict[str, object] = {}
        for name, value in self.model_dump(mode="json").items():
            if not type(self).model_fields[name].repr or isinstance(getattr(self, name), SecretStr):
                shown[name] = "(set, not shown)" if value else None
            else:
                shown[name] = str(value) if name.endswith("_wei") else value
        return shown

    @property
    def cache_dir(self) -> Path:
        return self.home / "cache"

    @property
    def state_dir(self) -> Path:
        return self.home / "state"

    @property
    def log_dir(self) -> Path:
        return self.home / "logs"


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `InputError` names the first field that does not fit and what it should be."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise InputError(f"ORION_{name.upper()}", first.get("input"), f"{first['msg']}.") from error
