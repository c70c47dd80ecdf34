# Words of exported reports. Every key stands in all three languages.

column-line = line
column-year = year of assessment
column-basis-from = basis period from
column-basis-to = basis period to
column-brn = business registration number
column-file-number = IRD file number
column-kind = treatment
column-amount = amount (HKD)
column-section = section
column-ip-type = type of right
column-asset = asset
column-asset-place = place of registration
column-registration = registration number
column-protection-ends = protection ends
column-nature = nature of payment
column-paid-on = date of payment
column-counterparty = other side
column-residence = residence
column-associate = associate
column-document = document
column-file = SHA-256 of the document
column-gross = gross amount
column-currency = currency
column-rate = rate of exchange
column-rate-source = source of the rate
column-hkd = net amount (HKD)
column-withheld = tax withheld
column-attested-by = attested by
column-status = status of the entry
column-slice = slice
column-use-fraction = fraction used
column-cumulative = deducted so far (HKD)
column-unallowed = not deducted yet (HKD)
column-reason = reason of nil
column-rule = rule
column-rule-status = status of the rule
column-citation = citation
column-needs-review = needs review
column-entries = ledger entries
column-kind-of-entry = kind of entry
column-before = entry before
column-after = entry after
column-correction-reason = reason of the correction
column-amount-before = amount before
column-amount-after = amount after
column-correction = correction
column-element = iXBRL element
column-deduction = deductions (HKD)
column-receipt = trading receipts (HKD)
column-withholding = tax to be withheld (HKD)
column-concession = profits at the concessionary rate (HKD)
column-return-value = in a return, whole dollars
column-all-years = all years
column-depth = depth
column-level = level
column-key = which one
column-lines = lines
column-what = what
column-value = value
column-report = report
column-taxpayer = taxpayer
column-taxpayer-party = party
column-registry = registry
column-genesis = genesis
column-size = size of the log
column-root = root
column-jurisdiction = jurisdiction
column-rules-digest = digest of the rules
column-openings-digest = digest of the openings
column-query = query
column-set-aside = entries set aside
column-signature = signature
column-how-to-check = how to check
column-indicative = what this is not
column-years = years of assessment
column-flag = flag
column-flags = flags
column-meaning = what it means
column-font = SHA-256 of the font
sheet-lines = Lines
sheet-totals = Totals
sheet-breakdown = Breakdown
sheet-corrections = Corrections
sheet-types = Types of right
sheet-flags = Flags
sheet-provenance = Provenance
nature-purchase = purchase
nature-upfront-fee = upfront licence fee
nature-royalty = royalty
nature-registration = registration
nature-rnd-type-a = research and development, type A
nature-rnd-type-b = research and development, type B
nature-disposal = sale
nature-credit-note = credit note
nature-refund = refund
entry-active = as entered
entry-corrected = corrected
entry-reversed = reversed
entry-kind-asset = asset
entry-kind-expenditure = payment
entry-kind-use = use
correction-amount = a figure was wrong
correction-date = a date was wrong
correction-classification = the classification was wrong
correction-reference = a reference was wrong
correction-duplicate = entered twice
correction-not-incurred = it never happened
correction-later-event = something happened since
attested-payer = payer
attested-payee = payee
attested-both = both sides
answer-yes = yes
answer-no = no
level-jurisdiction = jurisdiction
level-taxpayer = taxpayer
level-year = year of assessment
level-ip-type = type of right
level-section = section
level-asset = asset
level-entry = entry
level-document = document
text-how-to-check = Save the report as JSON and run chopmark report verify on it: it is computed again from its own evidence, and signature and checkpoint are checked.
text-indicative = Indicative: facts from the ledger under dated, cited rules. It is no assessment, and does not prove that a payment was made or who holds title.
text-title = Report on expenditure on intellectual property
text-none = None.
short-date = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
} { $year }
