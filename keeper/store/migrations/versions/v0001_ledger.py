"""The tables of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from keeper.store.columns import WeiNumeric

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"])
    op.create_table(
        "tokens",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "address", name=op.f("pk_tokens")),
    )
    op.create_table(
        "blocks",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("base_fee", WeiNumeric(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_pools", sa.Integer(), nullable=False),
        sa.Column("opportunities", sa.Integer(), nullable=False),
        sa.Column("stage_ns", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_blocks_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "chain_id", "number", name=op.f("pk_blocks")),
    )
    op.create_index(op.f("ix_blocks_run_id_seen_at"), "blocks", ["run_id", "seen_at"])
    op.create_index(op.f("ix_blocks_seen_at"), "blocks", ["seen_at"])
    op.create_table(
        "opportunities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_after_ns", sa.BigInteger(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("fate_seq", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("predicted_gross", WeiNumeric(), nullable=False),
        sa.Column("route", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_opportunities_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opportunities")),
    )
    op.create_index(op.f("ix_opportunities_chain_id_block_number"), "opportunities", ["chain_id", "block_number"])
    op.create_index(op.f("ix_opportunities_detected_at_id"), "opportunities", ["detected_at", "id"])
    op.create_index(op.f("ix_opportunities_fate_detected_at_id"), "opportunities", ["fate", "detected_at", "id"])
    op.create_index(op.f("ix_opportunities_run_id_detected_at_id"), "opportunities", ["run_id", "detected_at", "id"])
    op.create_index(
        op.f("ix_opportunities_run_id_fate_detected_at_id"), "opportunities", ["run_id", "fate", "detected_at", "id"]
    )
    op.create_index(
        op.f("ix_opportunities_strategy_detected_at_id"), "opportunities", ["strategy", "detected_at", "id"]
    )
    op.create_table(
        "opportunity_fates",
        sa.Column("opportunity_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opportunity_id"], ["opportunities.id"], name=op.f("fk_opportunity_fates_opportunity_id_opportunities")
        ),
        sa.PrimaryKeyConstraint("opportunity_id", "seq", name=op.f("pk_opportunity_fates")),
        sa.UniqueConstraint(
            "opportunity_id", "fate", "at_ns", name=op.f("uq_opportunity_fates_opportunity_id_fate_at_ns")
        ),
    )
    op.create_index(op.f("ix_opportunity_fates_fate_opportunity_id"), "opportunity_fates", ["fate", "opportunity_id"])
    op.create_table(
        "trades",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("opportunity_id", sa.Uuid(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("profit", WeiNumeric(), nullable=False),
        sa.Column("transaction_hash", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("gas_cost", WeiNumeric(), nullable=False),
        sa.Column("loan_amount", WeiNumeric(), nullable=False),
        sa.Column("predicted_wei", WeiNumeric(), nullable=False),
        sa.Column("realised_wei", WeiNumeric(), nullable=False),
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opportunity_id"], ["opportunities.id"], name=op.f("fk_trades_opportunity_id_opportunities")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_trades_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trades")),
    )
    op.create_index(
        op.f("ix_trades_chain_strategy_status_timestamp_id"),
        "trades",
        ["chain", "strategy", "status", "timestamp", "id"],
    )
    op.create_index(op.f("ix_trades_chain_timestamp_id"), "trades", ["chain", "timestamp", "id"])
    op.create_index(op.f("ix_trades_opportunity_id"), "trades", ["opportunity_id"])
    op.create_index(op.f("ix_trades_run_id_status_timestamp_id"), "trades", ["run_id", "status", "timestamp", "id"])
    op.create_index(op.f("ix_trades_run_id_timestamp_id"), "trades", ["run_id", "timestamp", "id"])
    op.create_index(op.f("ix_trades_status_timestamp_id"), "trades", ["status", "timestamp", "id"])
    op.create_index(op.f("ix_trades_strategy_timestamp_id"), "trades", ["strategy", "timestamp", "id"])
    op.create_index(op.f("ix_trades_timestamp_id"), "trades", ["timestamp", "id"])
    op.create_index(op.f("ix_trades_transaction_hash"), "trades", ["transaction_hash"])


def downgrade() -> None:
    op.drop_table("trades")
    op.drop_table("opportunity_fates")
    op.drop_table("opportunities")
    op.drop_table("blocks")
    op.drop_table("tokens")
    op.drop_table("runs")
