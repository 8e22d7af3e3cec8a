from django.db import migrations, models

import accounts.models

# The library's table has no index to find expired rows.
OUTSTANDING_INDEX = """
CREATE INDEX IF NOT EXISTS accounts_outstanding_token_expiry ON token_blacklist_outstandingtoken (expires_at)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('token_blacklist', '0013_alter_blacklistedtoken_options_and_more'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='rights_version',
            field=models.BigIntegerField(db_default=0, default=accounts.models.first_rights_version, editable=False),
        ),
        migrations.RemoveConstraint(
            model_name='revocation',
            name='one_revocation_per_value',
        ),
        migrations.AddField(
            model_name='revocation',
            name='user_id',
            field=models.BigIntegerField(db_index=True, null=True),
        ),
        migrations.AddField(
            model_name='revocation',
            name='rights_below',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='revocation',
            name='lost',
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name='revocation',
            name='kind',
            field=models.CharField(choices=[('family', 'all tokens of one sign-in'), ('stamp', 'all tokens made under a former password (of an older version)'), ('session', 'a session'), ('user', 'what a user held'), ('membership', 'what a user held in a tenant')], max_length=10),
        ),
        migrations.AlterField(
            model_name='revocation',
            name='value',
            field=models.CharField(blank=True, db_index=True, max_length=64),
        ),
        migrations.RunSQL(OUTSTANDING_INDEX, 'DROP INDEX IF EXISTS accounts_outstanding_token_expiry'),
    ]
