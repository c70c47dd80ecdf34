# 兼容性引擎的用字。三种语言的键相同。

outcome-compatible = 兼容
outcome-needs_review = 须由人审查
outcome-conflict = 冲突

finding-with-place = { $finding }（{ $place }）
finding-in-terms = 其条款 { $clause }
finding-in-licence = { $licence }，{ $clause }

finding-RIGHT_NOT_GRANTED = 上游 { $parent } 未授予以下权利：{ $about }
finding-RIGHTS_EXCEEDED = 上游 { $parent } 未授予以下权利：{ $about }
finding-SUBLICENSING = 上游 { $parent } 不允许如此广泛的再许可
finding-TRANSFER = 上游 { $parent } 不允许如此自由地转让许可
finding-TERRITORY = 上游 { $parent } 不适用于{ $about }
finding-TERRITORY-wide = 上游 { $parent } 仅适用于部分地域
finding-FIELD_OF_USE = 上游 { $parent } 不包括{ $about }
finding-FIELD_OF_USE-wide = 上游 { $parent } 仅涵盖部分使用领域
finding-EXPIRY = 上游 { $parent } 于 { $about }终止
finding-EXPIRY-wide = 上游 { $parent } 有终止日期，取决于其授权日期
finding-EXPIRED = 上游 { $parent } 已于 { $about }终止
finding-NOT_BEGUN = 上游 { $parent } 于 { $about }才开始
finding-CEILING = 上游 { $parent } 设有上限：{ $about }
finding-DERIVATIVES = 上游 { $parent } 不允许制作衍生作品
finding-APPROVAL = 每项衍生作品均须经上游 { $parent } 批准
finding-SHARE_ALIKE = 上游 { $parent } 要求采用其自身或者兼容的条款，而非 { $about }
finding-SHARE_ALIKE-wide = 上游 { $parent } 要求采用其自身或者兼容的条款
finding-LICENCE_INCOMPATIBLE = 据已发表的说明，上游 { $parent } 不能与 { $about } 结合
finding-LINEAGE = 上游 { $parent } 要求衍生作品披露其来源
finding-OUTPUT_TRAINING = 上游 { $parent } 不允许使用其输出训练模型
finding-USE_RESTRICTION = 上游 { $parent } 禁止以下用途：{ $about }
finding-REVERSE_ENGINEERING = 上游 { $parent } 要求继续允许反向工程
finding-REDISTRIBUTION = 上游 { $parent } 不允许以下列形式向他人提供：{ $about }
finding-ATTRIBUTION = 上游 { $parent } 要求署名
finding-RESIDENCY = 上游 { $parent } 只可存放于：{ $about }
finding-EXCLUSIVITY = 授权 { $parent } 就 { $about } 属于独占或者排他，或者会因此被违反
finding-ROYALTY_STACK = 所有上游的收入分成合计 { $about }，以 { $parent } 所占最多
finding-CYCLE = { $parent } 由其自身制成
finding-UNKNOWN_PARENT = 上游 { $parent } 的资料不详
finding-NO_LICENCE = { $parent } 的许可不详
finding-UNKNOWN_LICENCE = { $parent } 的许可不在已知之列
finding-CONDITIONS = { $parent } 载有须阅读的条件：{ $about }
finding-RIDER = { $parent } 载有须阅读的附加条文
finding-SEALED = 上游 { $parent } 载有保密数字
finding-RESTATEMENT = { $parent } 的条款与其重述的公共许可证不一致
finding-TOO_COMPLEX = { $parent } 的选项或者上游数量超出可判断的范围

derivation-finetune = 由其微调
derivation-adapter = 其适配器
derivation-merge = 由其合并
derivation-quantized = 由其量化
derivation-derived = 由其衍生
derivation-distilled = 由其蒸馏
derivation-dataset = 以其为训练数据
derivation-dependency = 依赖于它

condition-naming = 衍生作品的名称
condition-display_notice = 须展示的声明
condition-acceptable_use_policy = 可能变更的可接受使用政策
condition-pass_on_agreement = 每份复制件须附带协议
condition-revenue_threshold = 收入超过一定数额须另取许可
condition-domicile_excluded = 某些地方的主体不获许可
condition-output_condition = 使用输出进行训练的条件
condition-service_source = 须公开基于其建立的服务的源代码
condition-change_date = 自较晚日期起改用另一许可
