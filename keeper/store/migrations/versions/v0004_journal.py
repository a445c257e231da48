"""The books: journal entries that balance and are never changed, and what was found when they met the chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from keeper.store.columns import WeiNumeric

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("journal_entries", "journal_legs")

_REFUSE_CHANGE = """
CREATE FUNCTION journal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the journal is append-only: % of % refused, book a reversal', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$
"""

# A line belongs to the transaction that writes its entry: without this, lines that sum to zero could be slipped into
# an entry that was committed long ago.
_REFUSE_LATE_LEG = """
CREATE FUNCTION journal_refuse_late_leg() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM journal_entries WHERE id = NEW.entry_id AND xmin = pg_current_xact_id()::xid
  ) THEN
    RAISE EXCEPTION 'entry % is closed: a line is written together with its entry', NEW.entry_id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$
"""

_REQUIRE_BALANCE = """
CREATE FUNCTION journal_require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  off record;
BEGIN
  IF (SELECT count(*) FROM journal_legs WHERE entry_id = NEW.id) < 2 THEN
    RAISE EXCEPTION 'entry % has fewer than two lines', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  SELECT token, sum(amount) AS total INTO off
    FROM journal_legs WHERE entry_id = NEW.id GROUP BY token HAVING sum(amount) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entry % does not balance: % of token %', NEW.id, off.total, off.token
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.reverses IS NOT NULL THEN
    SELECT account, token, sum(amount) AS total INTO off
      FROM journal_legs WHERE entry_id IN (NEW.id, NEW.reverses)
      GROUP BY account, token HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'entry % does not take % back: % is left in %', NEW.id, NEW.reverses, off.total, off.account
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reverses", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reverses"], ["journal_entries.id"], name=op.f("fk_journal_entries_reverses_journal_entries")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_journal_entries_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint(
            "book", "subject", "kind", "attempt", name=op.f("uq_journal_entries_book_subject_kind_attempt")
        ),
        sa.UniqueConstraint("reverses", name=op.f("uq_journal_entries_reverses")),
    )
    op.create_index(op.f("ix_journal_entries_book_booked_at"), "journal_entries", ["book", "booked_at"])
    op.create_index(op.f("ix_journal_entries_subject"), "journal_entries", ["subject"])
    op.create_table(
        "journal_legs",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("amount", WeiNumeric(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_journal_legs_amount")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal_entries.id"], name=op.f("fk_journal_legs_entry_id_journal_entries")
        ),
        sa.PrimaryKeyConstraint("entry_id", "position", name=op.f("pk_journal_legs")),
    )
    op.create_index(op.f("ix_journal_legs_account_token"), "journal_legs", ["account", "token"])
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("booked", WeiNumeric(), nullable=False),
        sa.Column("on_chain", WeiNumeric(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_reconciliations_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index(op.f("ix_reconciliations_run_id_at"), "reconciliations", ["run_id", "at"])

    op.execute(_REFUSE_CHANGE)
    op.execute(_REFUSE_LATE_LEG)
    op.execute(_REQUIRE_BALANCE)
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER refuse_late_leg BEFORE INSERT ON journal_legs "
        "FOR EACH ROW EXECUTE FUNCTION journal_refuse_late_leg()"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER require_balance AFTER INSERT ON journal_entries "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_require_balance()"
    )


def downgrade() -> None:
    op.drop_table("reconciliations")
    op.drop_table("journal_legs")
    op.drop_table("journal_entries")
    for function in ("journal_require_balance", "journal_refuse_late_leg", "journal_refuse_change"):
        op.execute(f"DROP FUNCTION {function}()")
