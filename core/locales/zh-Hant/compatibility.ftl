# 相容性引擎的用字。三種語文的鍵相同。

outcome-compatible = 相容
outcome-needs_review = 須由人審視
outcome-conflict = 牴觸

finding-with-place = { $finding }（{ $place }）
finding-in-terms = 其條款 { $clause }
finding-in-licence = { $licence }，{ $clause }

finding-RIGHT_NOT_GRANTED = 上游 { $parent } 並無授予以下權利：{ $about }
finding-RIGHTS_EXCEEDED = 上游 { $parent } 並無授予以下權利：{ $about }
finding-SUBLICENSING = 上游 { $parent } 不准許如此廣泛的分特許
finding-TRANSFER = 上游 { $parent } 不准許如此自由地轉讓特許
finding-TERRITORY = 上游 { $parent } 不適用於{ $about }
finding-TERRITORY-wide = 上游 { $parent } 只適用於部分地域
finding-FIELD_OF_USE = 上游 { $parent } 不包括{ $about }
finding-FIELD_OF_USE-wide = 上游 { $parent } 只涵蓋部分使用領域
finding-EXPIRY = 上游 { $parent } 於 { $about }終結
finding-EXPIRY-wide = 上游 { $parent } 有終結日期，須視乎其授予日期而定
finding-EXPIRED = 上游 { $parent } 已於 { $about }終結
finding-NOT_BEGUN = 上游 { $parent } 於 { $about }才開始
finding-CEILING = 上游 { $parent } 設有上限：{ $about }
finding-DERIVATIVES = 上游 { $parent } 不准許製作衍生作品
finding-APPROVAL = 每項衍生作品均須經上游 { $parent } 批准
finding-SHARE_ALIKE = 上游 { $parent } 要求採用其本身或相容的條款，而非 { $about }
finding-SHARE_ALIKE-wide = 上游 { $parent } 要求採用其本身或相容的條款
finding-LICENCE_INCOMPATIBLE = 據已發表的說明，上游 { $parent } 不能與 { $about } 結合
finding-LINEAGE = 上游 { $parent } 要求衍生作品披露其來源
finding-OUTPUT_TRAINING = 上游 { $parent } 不准許使用其輸出訓練模型
finding-USE_RESTRICTION = 上游 { $parent } 禁止以下用途：{ $about }
finding-REVERSE_ENGINEERING = 上游 { $parent } 要求繼續准許逆向工程
finding-REDISTRIBUTION = 上游 { $parent } 不准許以下列形式向他人提供：{ $about }
finding-ATTRIBUTION = 上游 { $parent } 要求署名
finding-RESIDENCY = 上游 { $parent } 只可存放於：{ $about }
finding-EXCLUSIVITY = 授予 { $parent } 就 { $about } 屬專用，或會因而被違反
finding-ROYALTY_STACK = 所有上游的收入分成合計 { $about }，以 { $parent } 所佔最多
finding-CYCLE = { $parent } 由其本身製成
finding-UNKNOWN_PARENT = 上游 { $parent } 的資料不詳
finding-NO_LICENCE = { $parent } 的特許不詳
finding-UNKNOWN_LICENCE = { $parent } 的特許不在已知之列
finding-CONDITIONS = { $parent } 載有須閱讀的條件：{ $about }
finding-RIDER = { $parent } 載有須閱讀的附加條文
finding-SEALED = 上游 { $parent } 載有保密數字
finding-RESTATEMENT = { $parent } 的條款與其重述的公共特許有出入
finding-TOO_COMPLEX = { $parent } 的選項或上游數目超出可判斷的範圍

derivation-finetune = 由其微調
derivation-adapter = 其適配器
derivation-merge = 由其合併
derivation-quantized = 由其量化
derivation-derived = 由其衍生
derivation-distilled = 由其蒸餾
derivation-dataset = 以其為訓練數據
derivation-dependency = 依賴於它

condition-naming = 衍生作品的名稱
condition-display_notice = 須展示的聲明
condition-acceptable_use_policy = 可予更改的可接受使用政策
condition-pass_on_agreement = 每份複製品須附同協議
condition-revenue_threshold = 收入超過若干數額須另取特許
condition-domicile_excluded = 某些地方的人士不獲特許
condition-output_condition = 使用輸出作訓練的條件
condition-service_source = 須公開以其建立的服務的原始碼
condition-change_date = 於較後日期改用另一特許
