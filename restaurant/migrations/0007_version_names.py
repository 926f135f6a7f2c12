import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("restaurant", "0006_planned_end"),
    ]

    operations = [
        migrations.AlterField(
            model_name="darkversion",
            name="version",
            field=models.CharField(
                max_length=40,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9-]{1,40}$(?!\\n)",
                        "Lower-case letters, digits and dashes, at most 40 of them.",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="launch",
            name="control",
            field=models.CharField(
                default="vlatest",
                max_length=40,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9-]{1,40}$(?!\\n)",
                        "Lower-case letters, digits and dashes, at most 40 of them.",
                    )
                ],
            ),
        ),
    ]
