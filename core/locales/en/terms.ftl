# Words of licence terms. Every key stands in all three languages; a value's key is its vocabulary and its JSON spelling.

list-separator = {", "}
list-last = {" and "}
list-separator-wide = {"; "}
list-last-wide = {"; and "}
duration-separator = {" "}
sentence-separator = {" "}
duration-years = { $n ->
    [one] { $n } year
   *[other] { $n } years
}
duration-months = { $n ->
    [one] { $n } month
   *[other] { $n } months
}
duration-weeks = { $n ->
    [one] { $n } week
   *[other] { $n } weeks
}
duration-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
}
every = every { $duration }
every-year = every year
every-month = every month
every-week = every week
every-day = every day
date = { $day } { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year }

summary-title = Summary of terms { $id }
summary-note = This summary is made from the terms by a program. The terms themselves are what counts.

section-grant = Grant
grant-licence = The licensor grants the licensee a licence to: { $rights }.
grant-sublicence = The licensor, a licensee itself, grants the licensee a sublicence to: { $rights }.
grant-assignment = The assignor assigns to the assignee the right to: { $rights }.
grant-option = The licensor grants the licensee an option to be licensed to: { $rights }.
grant-public = These terms restate the public licence { $licence }, whose own text prevails.

right-use = use
right-reproduce = copy
right-modify = modify
right-distribute = distribute copies
right-make_available = make available to the public
right-host_as_service = offer as a hosted service
right-train = train other models on it
right-finetune = fine-tune
right-distill = distil into other models
right-quantize = quantise
right-merge = merge with other models
right-evaluate = evaluate
right-embed = embed in products

section-exclusivity = Exclusivity
exclusivity-exclusive = Exclusive: nobody else is licensed, and the licensor itself stays out.
exclusivity-sole = Sole: nobody else is licensed, but the licensor may go on itself.
exclusivity-non_exclusive = Non-exclusive: the licensor may license others.
exclusivity-scope-rights = This applies only to the following: { $rights }.
exclusivity-scope-territory = This applies only in: { $territory }.
exclusivity-scope-field = This applies only to these fields: { $field }.
exclusivity-scope-duration = This applies only for the first { $duration }.

section-sublicensing = Sublicences and transfer
sublicensing-none = No sublicences.
sublicensing-affiliates = Sublicences to affiliates only.
sublicensing-with_consent = Sublicences only with the licensor’s consent.
sublicensing-free = Sublicences to anyone.
sublicensing-depth = { $n ->
    [one] A sublicensee may not sublicense further.
   *[other] Sublicences through at most { $n } hands.
}
transfer-none = The licence may not be transferred.
transfer-affiliates = The licence may be transferred to affiliates only.
transfer-with_consent = The licence may be transferred only with the licensor’s consent.
transfer-free = The licence may be transferred freely.
permission-none = not at all
permission-affiliates = to affiliates
permission-with_consent = with consent
permission-free = to anyone

section-territory = Territory
territory = { $include }.
territory-except = { $include }, except { $exclude }.

section-field = Field of use
field = { $include }.
field-except = { $include }, except { $exclude }.
isic-part = { $division } (ISIC { $code })

section-term = Term
term-perpetual = Perpetual, from the day of the grant.
term-perpetual-from = Perpetual, from { $start }.
term-duration = { $duration }, from the day of the grant.
term-duration-from = { $duration }, from { $start } to the end of { $end }.
renewal-automatic = Renews itself for { $period } each time, unless notice is given.
renewal-by_agreement = May be renewed for { $period } each time, if both sides agree.
renewal-licensee_option = The licensee may renew it for { $period } each time.
term-notice = Notice period: { $notice }.
term-cure = A breach may be cured within { $cure }.

section-metric = Limits of use
metric-none = No limit on the amount of use.
metric-capped = At most { $cap } { $metric }.
metric-capped-period = At most { $cap } { $metric } { $every }.
metric-uncapped = Counted in { $metric }, without a limit.
metric-seats = seats
metric-devices = devices
metric-cores = processor cores
metric-concurrent = concurrent uses
metric-api_call = API calls
metric-token = tokens
metric-compute_hour = compute hours
metric-monthly_active_users = monthly active users
overage-forbidden = More than that is not licensed.
overage-by_agreement = More than that only once the parties have agreed.
overage-billed = More than that is charged at the price per unit.

section-derivatives = Derivatives
derivatives-allowed = Derivatives may be made.
derivatives-refused = No derivatives may be made.
derivatives-approval = Each one needs the licensor’s approval.
share-alike-none = They may come under other terms.
share-alike-file = Changed files stay under these terms; files added may come under others.
share-alike-library = Changed versions of the work stay under these terms; works that only use it may come under others.
share-alike-work = The whole of any work based on it comes under these terms.
share-alike-network = The whole of any work based on it comes under these terms, also where users only reach it over a network.
derivatives-compatible = They may instead come under: { $terms }.
derivatives-lineage = Whoever passes one on says what it was made from.

section-outputs = Outputs
outputs-licensee = As between the parties, outputs belong to the licensee.
outputs-licensor = As between the parties, outputs belong to the licensor.
outputs-shared = As between the parties, outputs belong to both together.
outputs-unclaimed = The licensor claims nothing in outputs.
outputs-training = Other models may be trained on outputs.
outputs-no-training = No other model may be trained on outputs.

section-restrictions = Use restrictions
restrictions-none = None beyond the law.
restrictions = Not permitted: { $restrictions }.
restrictions-propagate = Terms of everything made with it have to rule these out, too.
restriction-commercial = commercial use
restriction-production = any use other than evaluation
restriction-competing_model = training a competing model
restriction-benchmark_publication = publishing benchmark results
restriction-reverse_engineering = reverse engineering
restriction-unlawful = unlawful use
restriction-harm_minors = exploiting or harming minors
restriction-disinformation = spreading false information to harm others
restriction-personal_data_misuse = misusing personal data
restriction-harassment = defaming or harassing others
restriction-undisclosed_generation = passing off machine-made content as made by people
restriction-impersonation = impersonating others
restriction-automated_decisions = fully automated decisions on people’s rights or obligations
restriction-discrimination = discriminating against people
restriction-exploit_vulnerable = exploiting people’s vulnerabilities
restriction-medical_advice = giving medical advice or interpreting medical results
restriction-justice_migration = administration of justice, law enforcement, immigration or asylum
restriction-surveillance = surveillance of people
restriction-biometric_identification = biometric identification
restriction-social_scoring = social scoring
restriction-military = military use
restriction-weapons = making or using weapons
restriction-violence = violence, terrorism and their support
restriction-critical_infrastructure = operating critical infrastructure
restriction-malware = making malware
restriction-sexual_content = making sexual content

section-redistribution = Copies and attribution
redistribution-none = No copies may be given to others.
redistribution-forms = Copies may be given to others as { $forms }.
form-source = source code
form-weights = weights
attribution-required = Copies name the licensor and carry its notices.
attribution-none = No attribution is required.
attribution-notice = The notice reads: “{ $notice }”

section-consideration = Payment
consideration-none = Nothing is paid.
consideration-upfront_lump_sum = A lump sum up front: { $amount }.
consideration-milestone = { $amount } upon { $milestone }.
consideration-recurring = { $amount } { $every }.
consideration-rev_share = { $rate } of { $base } revenue, accounted for { $every }.
consideration-per_unit = { $amount } for each unit ({ $unit }), { $every }.
consideration-min_guarantee = Royalties of at least { $amount } { $every }.
consideration-ip_purchase = The price of the right itself: { $amount }.
consideration-sealed-amount = a confidential amount in { $currency }
consideration-sealed-rate = a confidential share (in { $currency })
consideration-tier-rate = Above { $above } in a year: { $rate }.
consideration-tier-amount = Above { $above } units in a year: { $amount } each.
consideration-ceiling = At most { $ceiling } in all.
consideration-on = Due on { $date }.
consideration-within = Due within { $within }.
consideration-recoupable = Set off against later royalties.
consideration-not-recoupable = Not set off against royalties.
amount = { $currency } { $amount }
rate = { $percent }%
base-gross = gross
base-net = net
milestone-signature = signature
milestone-delivery = delivery
milestone-acceptance = acceptance
milestone-commercial_launch = commercial launch
milestone-regulatory_approval = regulatory approval

section-law = Law and disputes
law-governing = Governing law: { $law }.
law-courts = Disputes go to the courts of { $seat }.
law-arbitration = Disputes go to arbitration at the { $forum }, seated in { $seat }.
law-language = The { $language } text prevails.
forum-courts = courts
forum-hkiac = Hong Kong International Arbitration Centre (HKIAC)
forum-cietac_hong_kong = CIETAC Hong Kong Arbitration Center
forum-cietac = China International Economic and Trade Arbitration Commission (CIETAC)
forum-scia = Shenzhen Court of International Arbitration (SCIA)
forum-siac = Singapore International Arbitration Centre (SIAC)
forum-icc = ICC International Court of Arbitration
forum-lcia = London Court of International Arbitration (LCIA)
forum-wipo = WIPO Arbitration and Mediation Center
language-en = English
language-zh-Hant = Traditional Chinese
language-zh-Hans = Simplified Chinese

section-audit = Reports and audit
audit-cadence = Reports { $every }.
audit-due = Each is due within { $due } after its period.
audit-lookback = The licensor may inspect the records of the last { $lookback }.

section-termination = Termination
termination-none = No grounds for termination are agreed.
termination-grounds = May be terminated for: { $grounds }.
ground-breach = breach that is not cured in time
ground-use_restriction = breach of the use restrictions
ground-non_payment = non-payment
ground-insolvency = insolvency of the other side
ground-change_of_control = change of control of the licensee
ground-challenge = challenge to the licensor’s rights
ground-patent_litigation = patent litigation by the licensee
ground-illegality = illegality
ground-licensee_convenience = the licensee’s convenience, with notice
ground-licensor_convenience = the licensor’s convenience, with notice
sublicences-survive = Sublicences survive the end of the licence.
sublicences-wind_down = Sublicences are wound down within { $period } after the end of the licence.
sublicences-terminate = Sublicences end with the licence.
derivatives-survive = Derivatives and licences in them survive the end of the licence.
derivatives-wind_down = Derivatives and licences in them are wound down within { $period } after the end of the licence.
derivatives-terminate = Derivatives and licences in them end with the licence.
end-survive = survives
end-wind_down = is wound down
end-terminate = ends

section-tax = Tax
tax-residence = The payee is resident in { $place }.
tax-associate = Payer and payee are associates.
tax-no-associate = Payer and payee are not associates.
tax-gross-up = The payer makes good what is withheld.
tax-no-gross-up = Tax withheld is borne by the payee.
tax-rate = The payee claims a withholding rate of { $rate }.
tax-treaty = It rests on article { $article } of the double taxation agreement with { $with }.

section-compliance = Compliance
compliance-residency = May be kept in: { $zones }.
compliance-personal = It contains personal data.
compliance-no-personal = It contains no personal data.
zone-HK = Hong Kong
zone-CN-GBA = Mainland cities of the Greater Bay Area
zone-CN = Mainland China
zone-WORLD = anywhere
export-free = Mainland technology export: not in the catalogue, contract to be registered.
export-restricted = Mainland technology export: restricted (catalogue number { $number }), export licence needed.
export-prohibited = Mainland technology export: prohibited (catalogue number { $number }).
export-approval = Licence or registration number: { $approval }.

section-rider = Rider
rider-note = Text that no program understands:

preset-permissive = Anything, with attribution (Apache-2.0)
preset-copyleft = Anything, and works based on it under the same terms (GPL-3.0-or-later)
preset-openrail = Anything but certain uses, which derivatives rule out too (OpenRAIL style)
preset-evaluation-only = Evaluation for 30 days
preset-commercial-per-seat = Commercial use by 50 people, paid per seat and year
preset-commercial-revenue-share = Commercial products, for a share of revenue
preset-exclusive-territorial = Exclusive in a territory, law of Hong Kong, HKIAC arbitration
