# Words of the compatibility engine. Every key stands in all three languages.

outcome-compatible = compatible
outcome-needs_review = needs review
outcome-conflict = conflict

finding-with-place = { $finding } ({ $place })
finding-in-terms = its terms, { $clause }
finding-in-licence = { $licence }, { $clause }

finding-RIGHT_NOT_GRANTED = parent { $parent } does not grant the right to { $about }
finding-RIGHTS_EXCEEDED = parent { $parent } does not grant these rights: { $about }
finding-SUBLICENSING = parent { $parent } does not let sublicences go that far
finding-TRANSFER = parent { $parent } does not let the licence be transferred that freely
finding-TERRITORY = parent { $parent } does not hold in { $about }
finding-TERRITORY-wide = parent { $parent } holds in a part of the territory only
finding-FIELD_OF_USE = parent { $parent } excludes { $about }
finding-FIELD_OF_USE-wide = parent { $parent } covers a part of the field of use only
finding-EXPIRY = parent { $parent } ends on { $about }
finding-EXPIRY-wide = parent { $parent } ends, on a day that its grant decides
finding-EXPIRED = parent { $parent } ended on { $about }
finding-NOT_BEGUN = parent { $parent } does not begin before { $about }
finding-CEILING = parent { $parent } has a cap: { $about }
finding-DERIVATIVES = parent { $parent } allows no derivatives
finding-APPROVAL = parent { $parent } has to approve each derivative
finding-SHARE_ALIKE = parent { $parent } asks for its own terms or compatible ones, not { $about }
finding-SHARE_ALIKE-wide = parent { $parent } asks for its own terms or compatible ones
finding-LICENCE_INCOMPATIBLE = parent { $parent } can’t be combined with { $about }, as published statements say
finding-LINEAGE = parent { $parent } asks that derivatives say what they were made from
finding-OUTPUT_TRAINING = parent { $parent } does not let models be trained on its outputs
finding-USE_RESTRICTION = parent { $parent } rules out: { $about }
finding-REVERSE_ENGINEERING = parent { $parent } asks that reverse engineering stays permitted
finding-REDISTRIBUTION = parent { $parent } does not let others have it as { $about }
finding-ATTRIBUTION = parent { $parent } asks for attribution
finding-RESIDENCY = parent { $parent } may be kept only in: { $about }
finding-EXCLUSIVITY = grant { $parent } is exclusive, or would be broken, in { $about }
finding-ROYALTY_STACK = shares of revenue of all ancestors come to { $about }, { $parent } asking for most
finding-CYCLE = { $parent } is made from itself
finding-UNKNOWN_PARENT = nothing is known about parent { $parent }
finding-NO_LICENCE = no licence is known for { $parent }
finding-UNKNOWN_LICENCE = the licence of { $parent } is not among those known
finding-CONDITIONS = { $parent } has conditions to be read: { $about }
finding-RIDER = { $parent } has a rider to be read
finding-SEALED = parent { $parent } has confidential figures
finding-RESTATEMENT = the terms of { $parent } differ from the public licence that they restate
finding-TOO_COMPLEX = { $parent } has more alternatives or ancestors than are judged

derivation-finetune = fine-tuned from it
derivation-adapter = adapter for it
derivation-merge = merged from it
derivation-quantized = quantised from it
derivation-derived = derived from it
derivation-distilled = distilled from it
derivation-dataset = trained on it as data
derivation-dependency = depends on it

condition-naming = names of derivatives
condition-display_notice = a notice to be shown
condition-acceptable_use_policy = an acceptable use policy that may change
condition-pass_on_agreement = the agreement goes with every copy
condition-revenue_threshold = another licence above a certain revenue
condition-domicile_excluded = licensees of certain places are excluded
condition-output_condition = a condition for training on outputs
condition-service_source = the source of services built on it
condition-change_date = another licence from a later date on
